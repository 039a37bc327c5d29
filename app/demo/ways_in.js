// A portrait to try is asked for by name; what the camera took goes the way of a dropped file.
element.addEventListener('click', event => {
  const tried = event.target.closest('[data-example]');
  if (tried) trigger('click', { example: tried.dataset.example });
});
element.addEventListener('change', event => {
  const [photo] = event.target.files || [];
  const drop = document.querySelector('#lv-drop input[type=file]');
  if (!photo || !drop) return;
  const carried = new DataTransfer();
  carried.items.add(photo);
  drop.files = carried.files;
  drop.dispatchEvent(new Event('change', { bubbles: true }));
  event.target.value = '';
});

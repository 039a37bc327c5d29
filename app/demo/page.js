// What Gradio leaves out for readers of screens and for keyboards: words for compared pictures, and a way to scroll by key.
const RADIOS = 'fieldset:has(input[type=radio])';
const WORDS = ['Left of the handle: before', 'Right of the handle: after'];

// Each radio button comes with a name of its own; with one for all of a group, arrow keys move among them.
function join(group) {
  const [first, ...others] = group.querySelectorAll('input[type=radio]');
  for (const radio of others) radio.name = first.name;
}

function mend() {
  document.querySelectorAll(RADIOS).forEach(join);
  for (const slider of document.querySelectorAll('#lv-slider, #lv-closer-slider')) {
    slider.querySelectorAll('img').forEach((picture, place) => {
      if (!picture.alt) picture.alt = WORDS[place % 2];
    });
  }
  for (const place of document.querySelectorAll('div.empty[aria-label]:not([role])')) place.setAttribute('role', 'img');
  for (const block of document.querySelectorAll('.lv-prose, .lv-scroll')) {
    if (block.scrollWidth > block.clientWidth && !block.hasAttribute('tabindex')) block.tabIndex = 0;
  }
}

let due = 0;
new MutationObserver(() => { due ||= setTimeout(() => { due = 0; mend(); }, 200); })
  .observe(document.body, { childList: true, subtree: true });
addEventListener('resize', mend);
// Gradio may have drawn the buttons anew since they were joined.
addEventListener('keydown', event => {
  const group = event.key.startsWith('Arrow') && event.target.closest?.(RADIOS);
  if (group) join(group);
}, true);
mend();

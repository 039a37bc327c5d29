// A step is shown in a small box; the place that it speaks of is outlined, on the tab where that is.
const box = element.querySelector('#lv-tour');
const STEPS = JSON.parse(box.dataset.steps);
const part = name => box.querySelector(`[data-part=${name}]`);
let at = 0;
let marked = null;

function unmark() {
  marked?.classList.remove('lv-toured');
  marked = null;
}

// The tab may still be on its way, or that of an earlier step may come after it: it is waited for as long as the step
// is shown, and asked for again every three seconds.
function mark(selector, looks = 0) {
  if (box.hidden || STEPS[at].place !== selector) return;
  const place = [...document.querySelectorAll(selector)].find(one => one.offsetParent);
  if (!place) {
    if (looks % 20 === 19) trigger('click', { tab: STEPS[at].tab });
    return setTimeout(mark, 150, selector, looks + 1);
  }
  marked = place;
  marked.classList.add('lv-toured');
  marked.scrollIntoView({ block: 'center', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
}

function show(step) {
  unmark();
  at = step;
  const { tab, place, title, words } = STEPS[at];
  part('count').textContent = `${at + 1} of ${STEPS.length}`;
  part('title').textContent = title;
  part('words').textContent = words;
  part('back').disabled = at === 0;
  part('next').textContent = at === STEPS.length - 1 ? 'Finish' : 'Next';
  box.hidden = false;
  trigger('click', { tab });
  mark(place);
  part('next').focus({ preventScroll: true });
}

function close() {
  unmark();
  box.hidden = true;
  element.querySelector('#lv-tour-start').focus();
}

element.querySelector('#lv-tour-start').addEventListener('click', () => show(0));
part('back').addEventListener('click', () => show(at - 1));
part('next').addEventListener('click', () => at === STEPS.length - 1 ? close() : show(at + 1));
part('close').addEventListener('click', close);
document.addEventListener('keydown', event => { if (event.key === 'Escape' && !box.hidden) close(); });

// The board: a press on a column's head sorts by it; wheel, drag, pinch and + - 0 zoom all faces together, those of
// the sweep's step too: what is heard and set is that of the column that holds both.
const area = element.closest('.lv-outputs') || element;
const state = { scale: 1, x: 0, y: 0, apart: 0 };
const touches = new Map();

function show() {
  const limit = (state.scale - 1) * 50;
  state.x = Math.max(-limit, Math.min(limit, state.x));
  state.y = Math.max(-limit, Math.min(limit, state.y));
  // On the column, which stays when what streams in is drawn anew.
  area.style.setProperty('--lv-scale', state.scale);
  area.style.setProperty('--lv-x', `${state.x}%`);
  area.style.setProperty('--lv-y', `${state.y}%`);
  // A finger scrolls the page until the faces are zoomed.
  area.style.setProperty('--lv-touch', state.scale > 1 ? 'none' : 'pan-y');
}

function zoom(factor) {
  state.scale = Math.max(1, Math.min(8, state.scale * factor));
  show();
}

element.addEventListener('click', event => {
  const head = event.target.closest('[data-sort]');
  if (head) trigger('click', { sort: head.dataset.sort });
});
area.addEventListener('wheel', event => {
  if (!event.target.closest('.lv-zoom')) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
}, { passive: false });
area.addEventListener('pointerdown', event => {
  const face = event.target.closest('.lv-zoom');
  if (!face || event.button) return;
  event.preventDefault();
  face.setPointerCapture(event.pointerId);
  touches.set(event.pointerId, event);
});
area.addEventListener('pointermove', event => {
  const before = touches.get(event.pointerId);
  if (!before) return;
  const width = event.target.clientWidth || 100;  // of the face, which has the pointer captured
  if (touches.size === 1) {
    state.x += 100 * (event.clientX - before.clientX) / width;
    state.y += 100 * (event.clientY - before.clientY) / width;
  }
  touches.set(event.pointerId, event);
  if (touches.size === 2) {
    const [a, b] = [...touches.values()];
    const apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    if (state.apart) zoom(apart / state.apart);
    state.apart = apart;
  }
  show();
});
// On the document: a face that is drawn anew while it is dragged loses the pointer there.
for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
  document.addEventListener(end, event => { touches.delete(event.pointerId); state.apart = 0; });
}
area.addEventListener('dblclick', event => {
  if (event.target.closest('.lv-zoom')) { state.scale = 1; show(); }
});
area.addEventListener('keydown', event => {
  const factor = { '+': 1.2, '=': 1.2, '-': 1 / 1.2, '0': 1 / 8 }[event.key];
  if (factor && event.target.closest('.lv-zoom')) { event.preventDefault(); zoom(factor); }
});

// The plot: over a point, the protected face of its line. Gradio draws the plot anew, so it is found on the way in.
function peek(point) {
  const line = [...element.querySelectorAll('[data-line]')].find(row => row.dataset.line === point.customdata);
  return line && line.querySelector('img[alt^="Protected"]');
}
let shown = null;
const hide = () => { if (shown) shown.remove(); shown = null; };
document.addEventListener('pointerdown', hide);
function watch(plot) {
  if (!plot || !plot.on || plot.dataset.watched) return;
  plot.dataset.watched = 'yes';
  const reveal = data => {
    const face = peek(data.points[0]);
    hide();
    if (!face) return;
    const box = plot.getBoundingClientRect();
    shown = face.cloneNode();
    shown.className = 'lv-peek';
    shown.style.left = `${Math.min(data.event.clientX + 16, window.innerWidth - 136)}px`;
    shown.style.top = `${Math.max(8, Math.min(data.event.clientY, box.bottom) - 150)}px`;
    document.body.append(shown);
  };
  plot.on('plotly_hover', reveal);
  plot.on('plotly_click', reveal);  // a tap: its hover is over before the finger is up
  plot.on('plotly_unhover', hide);
  // A finger leaves as soon as it has tapped: what it called stays until the next tap.
  plot.addEventListener('pointerleave', event => { if (event.pointerType === 'mouse') hide(); });
}
document.addEventListener('pointerover', event => {
  if (event.target.closest && event.target.closest('#lv-tradeoff')) {
    watch(document.querySelector('#lv-tradeoff .js-plotly-plot'));
  }
});

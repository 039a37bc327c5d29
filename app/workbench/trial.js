/* One trial: pictures of one size, answers by click, touch or key, and the time since the pictures could be seen.

   Nothing is asked before every picture is decoded and the page is in front; nothing can be answered before the
   minimum viewing time. An answer carries a token, so that sending it twice counts once. */

const kept = (window.larvatusPictures ||= new Map()); // by SHA-256: each comes over the line once
const SMALLEST = 0.02; // side of a box, as a fraction of the picture; also an arrow's step
const ARROWS = {
  ArrowLeft: [-SMALLEST, 0],
  ArrowRight: [SMALLEST, 0],
  ArrowUp: [0, -SMALLEST],
  ArrowDown: [0, SMALLEST],
};

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".trial");
  for (const [name, source] of Object.entries(data.sources)) kept.set(name, source);
  if (root.dataset.trial === data.trial) {
    if (data.refused > root.refused) root.again(data.refused);
    return;
  }
  if (root.stop) root.stop();
  root.dataset.trial = data.trial;
  root.replaceChildren();
  root.refused = data.refused;

  const token = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) + Date.now();
  const part = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text) node.textContent = text;
    return node;
  };
  let began = null;
  let sent = null;
  let timers = [];
  const later = (action, seconds) => timers.push(setTimeout(action, 1000 * seconds));

  const bar = part("progress", "bar");
  bar.max = data.progress.of;
  bar.value = data.progress.done;
  bar.setAttribute("aria-label", data.progress.text);
  const where = part("div", "where", data.progress.text);
  const question = part("h2", "question", data.question);
  question.tabIndex = -1;
  const pictures = part("div", data.pictures.length > 1 ? "pictures two" : "pictures");
  const answers = part("div", data.scale ? "answers scale" : "answers");
  answers.setAttribute("role", "group");
  answers.setAttribute("aria-label", data.question);
  const note = part("p", "note", data.words.loading);
  note.setAttribute("role", "status");
  root.append(bar, where, question);
  if (data.note) root.append(part("p", "practice", data.note));
  root.append(pictures, answers, note);

  const boxes = [];
  const largest = (side) => Math.max(...data.pictures.map((picture) => picture[side])); // one frame for both
  const images = data.pictures.map((picture) => {
    const frame = part("figure", "frame");
    const image = part("img");
    image.alt = picture.alt;
    image.draggable = false;
    image.src = kept.get(picture.id) || "";
    const view = part("div", "view");
    view.append(image);
    frame.append(view);
    if (picture.name) frame.append(part("figcaption", "", picture.name));
    pictures.append(frame);
    image.style.aspectRatio = largest("width") + " / " + largest("height");
    if (data.boxes) drawn(frame, view);
    return image;
  });

  const buttons = data.answers.map((answer) => {
    const button = part("button", "answer");
    button.type = "button";
    button.disabled = true;
    button.append(part("span", "label", answer.label));
    if (answer.hint) button.append(part("kbd", "", answer.hint));
    button.onclick = () => choose(answer.value);
    answers.append(button);
    return button;
  });

  function choose(value) {
    if (sent || !buttons.length || buttons[0].disabled) return;
    const marked = data.boxes && value !== "none";
    const bare = boxes.find((box) => !box.kept.label);
    if (marked && (bare || !boxes.length)) {
      note.textContent = bare ? data.boxes.bare : data.boxes.empty;
      if (bare) bare.select.focus();
      return;
    }
    sent = {
      trial: data.trial,
      token,
      answer: marked ? boxes.map((box) => ({ ...box.kept })) : data.boxes ? [] : value,
      seconds: (performance.now() - began) / 1000,
      screen_width: window.screen.width,
      screen_height: window.screen.height,
    };
    for (const button of buttons) button.disabled = true;
    send();
  }

  function send() {
    note.textContent = data.words.saving;
    setTriggerValue("answer", sent);
    later(() => {
      note.replaceChildren(part("span", "", data.words.lost + " "));
      const again = part("button", "again", data.words.again);
      again.type = "button";
      again.onclick = send;
      note.append(again);
    }, 8);
  }

  function ready() {
    began = performance.now();
    note.textContent = data.minimum > 0 ? data.words.look : data.words.help;
    later(() => {
      for (const button of buttons) button.disabled = false;
      if (!sent) note.textContent = data.words.help;
    }, data.minimum);
  }

  function inFront() {
    return new Promise((resolve) => {
      const look = () => {
        if (document.visibilityState !== "visible") return;
        document.removeEventListener("visibilitychange", look);
        requestAnimationFrame(() => requestAnimationFrame(resolve));
      };
      document.addEventListener("visibilitychange", look);
      look();
    });
  }

  /* Boxes over the picture, by pointer or by keys; sides are fractions of the picture from its top left corner. */
  function drawn(frame, view) {
    const layer = part("div", "layer");
    view.append(layer);
    const list = part("ul", "boxes");
    const add = part("button", "add", data.boxes.add);
    add.type = "button";
    add.onclick = () => {
      if (began === null || sent) return;
      const node = part("div", "box");
      layer.append(node);
      keep(node, { x0: 0.4, y0: 0.4, x1: 0.6, y1: 0.6 });
      node.focus();
    };
    frame.append(add, list);

    const inside = (v) => Math.min(1, Math.max(0, v));
    const place = (node, { x0, y0, x1, y1 }) => {
      const [left, top, width, height] = [x0, y0, x1 - x0, y1 - y0].map((side) => 100 * side + "%");
      Object.assign(node.style, { left, top, width, height });
    };
    const at = (event) => {
      const area = layer.getBoundingClientRect();
      return [inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)];
    };
    const spanned = (event) => {
      const to = at(event);
      const [[x0, x1], [y0, y1]] = [0, 1].map((k) => [start.from[k], to[k]].sort((a, b) => a - b));
      return { x0, y0, x1, y1 };
    };

    let start = null; // the box that a pointer is drawing
    layer.onpointerdown = (event) => {
      if (began === null || sent || start || event.button) return;
      layer.setPointerCapture(event.pointerId);
      start = { from: at(event), pointer: event.pointerId, node: part("div", "box") };
      layer.append(start.node);
      event.preventDefault();
    };
    layer.onpointermove = (event) => {
      if (start?.pointer === event.pointerId) place(start.node, spanned(event));
    };
    layer.onpointerup = (event) => {
      if (start?.pointer !== event.pointerId) return;
      const { x0, y0, x1, y1 } = spanned(event);
      if (x1 - x0 < SMALLEST || y1 - y0 < SMALLEST) start.node.remove();
      else keep(start.node, { x0, y0, x1, y1 });
      start = null;
    };
    layer.onpointercancel = (event) => {
      if (start?.pointer !== event.pointerId) return;
      start.node.remove();
      start = null;
    };

    function keep(node, sides) {
      const box = { node, kept: { ...sides, label: "" }, row: part("li"), select: part("select") };
      const gone = part("button", "gone", data.boxes.remove);
      gone.type = "button";
      gone.onclick = () => {
        node.remove();
        box.row.remove();
        boxes.splice(boxes.indexOf(box), 1);
        boxes.forEach(numbered);
        add.focus();
      };
      box.select.append(new Option(data.boxes.choose, ""), ...data.boxes.labels.map((name) => new Option(name)));
      box.select.onchange = () => (box.kept.label = box.select.value);
      node.tabIndex = 0;
      node.setAttribute("role", "application"); // readers of screens leave the arrows to the box
      node.onkeydown = (event) => moved(box, event);
      box.row.append(part("b"), box.select, gone);
      list.append(box.row);
      boxes.push(box);
      place(node, sides);
      boxes.forEach(numbered);
    }

    function numbered(box, i) {
      box.node.dataset.number = box.row.firstChild.textContent = i + 1;
      box.node.setAttribute("aria-label", data.boxes.box + " " + (i + 1) + ". " + data.boxes.keys);
      box.select.setAttribute("aria-label", data.boxes.what + " " + (i + 1));
      box.row.lastChild.setAttribute("aria-label", data.boxes.remove + " " + (i + 1));
    }

    function moved({ node, kept }, event) {
      const by = ARROWS[event.key];
      if (!by || sent) return;
      event.preventDefault();
      for (const [axis, step] of [["x", by[0]], ["y", by[1]]]) {
        const [low, high] = [kept[axis + 0], kept[axis + 1]];
        const least = event.shiftKey ? low - high + SMALLEST : -low;
        const shift = Math.min(1 - high, Math.max(least, step));
        if (!event.shiftKey) kept[axis + 0] = low + shift;
        kept[axis + 1] = high + shift;
      }
      place(node, kept);
    }
  }

  root.again = (refused) => {
    root.refused = refused;
    timers.forEach(clearTimeout);
    sent = null;
    for (const button of buttons) button.disabled = false;
    note.textContent = data.words.help;
  };

  const pressed = (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.composedPath()[0];
    if (at instanceof Element && at.closest("input, select, textarea")) return;
    if ([" ", "Enter"].includes(event.key) && at instanceof Element && at.closest("button, summary, a")) return;
    const found = data.answers.find((answer) => answer.keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    choose(found.value);
  };
  document.addEventListener("keydown", pressed);
  root.stop = () => {
    document.removeEventListener("keydown", pressed);
    timers.forEach(clearTimeout);
    timers = [];
  };

  question.focus({ preventScroll: true });
  Promise.all(images.map((image) => image.decode()))
    .then(inFront)
    .then(() => root.dataset.trial === data.trial && ready())
    .catch(() => (note.textContent = data.words.broken));
  return () => {
    if (root.stop) root.stop();
    delete root.dataset.trial;
  };
}

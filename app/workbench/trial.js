/* One trial: pictures of one size, answers by click, touch or key, and the time since the pictures could be seen.

   Nothing is asked before every picture is decoded and the page is in front; nothing can be answered before the
   minimum viewing time. An answer carries a token, so that sending it twice counts once. */

const kept = (window.larvatusPictures ||= new Map()); // by SHA-256: each comes over the line once

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
    image.style.aspectRatio = picture.width + " / " + picture.height;
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
    sent = {
      trial: data.trial,
      token,
      answer: data.boxes ? (value === "none" ? [] : boxes.map((box) => box.kept)) : value,
      seconds: (performance.now() - began) / 1000,
      screen_width: window.screen.width,
      screen_height: window.screen.height,
    };
    if (data.boxes && value !== "none" && !boxes.length) {
      sent = null;
      note.textContent = data.boxes.empty;
      return;
    }
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

  function drawn(frame, view) {
    const layer = part("div", "layer");
    layer.setAttribute("aria-hidden", "true");
    view.append(layer);
    let start = null;
    const at = (event) => {
      const box = layer.getBoundingClientRect();
      const inside = (v) => Math.min(1, Math.max(0, v));
      return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
    };
    const place = (node, a, b) => {
      const [x0, x1] = [Math.min(a[0], b[0]), Math.max(a[0], b[0])];
      const [y0, y1] = [Math.min(a[1], b[1]), Math.max(a[1], b[1])];
      Object.assign(node.style, {
        left: 100 * x0 + "%",
        top: 100 * y0 + "%",
        width: 100 * (x1 - x0) + "%",
        height: 100 * (y1 - y0) + "%",
      });
      return { x0, y0, x1, y1 };
    };
    layer.onpointerdown = (event) => {
      if (began === null || sent) return;
      layer.setPointerCapture(event.pointerId);
      start = { from: at(event), node: part("div", "box") };
      layer.append(start.node);
      event.preventDefault();
    };
    layer.onpointermove = (event) => {
      if (start) place(start.node, start.from, at(event));
    };
    layer.onpointerup = (event) => {
      if (!start) return;
      const kept = place(start.node, start.from, at(event));
      if (kept.x1 - kept.x0 < 0.02 || kept.y1 - kept.y0 < 0.02) start.node.remove();
      else boxes.push({ node: start.node, kept: { ...kept, label: data.boxes.labels[0] } });
      start = null;
      listed();
    };
    const list = part("ul", "boxes");
    frame.append(list);
    function listed() {
      list.replaceChildren(
        ...boxes.map((box, i) => {
          const row = part("li");
          box.node.dataset.number = i + 1;
          const label = part("select");
          label.setAttribute("aria-label", data.boxes.what + " " + (i + 1));
          for (const name of data.boxes.labels) label.append(new Option(name, name, false, name === box.kept.label));
          label.onchange = () => (box.kept.label = label.value);
          const gone = part("button", "gone", data.boxes.remove);
          gone.type = "button";
          gone.onclick = () => {
            box.node.remove();
            boxes.splice(boxes.indexOf(box), 1);
            listed();
          };
          row.append(part("b", "", String(i + 1)), label, gone);
          return row;
        }),
      );
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
    if (/^(input|select|textarea)$/i.test((event.composedPath()[0] || {}).tagName || "")) return;
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

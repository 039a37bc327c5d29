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
  // Two pictures get the same room, whatever their shapes: neither may look the more important.
  const ratio = Math.max(...data.pictures.map((picture) => picture.width / picture.height));
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
    image.style.aspectRatio = ratio;
    if (data.boxes) marking(data.boxes, boxes, { part, frame, view, may: () => began !== null && !sent });
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
    if (data.boxes && value !== "none" && !(boxes.length && boxes.every((box) => box.kept.label))) {
      sent = null;
      note.textContent = boxes.length ? data.boxes.unnamed : data.boxes.empty;
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
    if (/^(input|select|textarea)$/i.test(at?.tagName || "")) return;
    // A button that has the focus is pressed by these keys, and nothing else is answered by them.
    if (/^( |Enter)$/.test(event.key) && at?.closest?.("button, summary, a, [role=button]")) return;
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

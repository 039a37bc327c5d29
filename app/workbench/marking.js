/* Boxes around what looks wrong: drawn by a pointer, or added, moved and resized by keys; each says what it marks. */

function marking(words, boxes, { part, frame, view, may }) {
  const layer = part("div", "layer");
  layer.setAttribute("aria-hidden", "true"); // the list below says the same, and can be reached by keys
  view.append(layer);
  const list = part("ul", "boxes");
  const add = part("button", "add", words.add);
  add.type = "button";
  add.onclick = () => {
    if (!may()) return;
    keep(part("div", "box"), { x0: 0.4, y0: 0.4, x1: 0.6, y1: 0.6 });
    list.lastElementChild.querySelector(".move").focus();
  };
  frame.append(list, add);

  const inside = (v) => Math.min(1, Math.max(0, v));
  const place = (node, { x0, y0, x1, y1 }) => {
    const share = (v) => 100 * v + "%";
    Object.assign(node.style, { left: share(x0), top: share(y0), width: share(x1 - x0), height: share(y1 - y0) });
  };
  const keep = (node, edges) => {
    place(node, edges);
    layer.append(node);
    boxes.push({ node, kept: { ...edges, label: "" } });
    listed();
  };

  let start = null;
  const at = (event) => {
    const box = layer.getBoundingClientRect();
    return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
  };
  const between = (a, b) => ({
    x0: Math.min(a[0], b[0]),
    x1: Math.max(a[0], b[0]),
    y0: Math.min(a[1], b[1]),
    y1: Math.max(a[1], b[1]),
  });
  layer.onpointerdown = (event) => {
    if (!may()) return;
    layer.setPointerCapture(event.pointerId);
    start = { from: at(event), node: part("div", "box") };
    layer.append(start.node);
    event.preventDefault();
  };
  layer.onpointermove = (event) => {
    if (start) place(start.node, between(start.from, at(event)));
  };
  layer.onpointercancel = () => {
    start?.node.remove();
    start = null;
  };
  layer.onpointerup = (event) => {
    if (!start) return;
    const { node, from } = start;
    const edges = between(from, at(event));
    start = null;
    if (edges.x1 - edges.x0 < 0.02 || edges.y1 - edges.y0 < 0.02) node.remove();
    else keep(node, edges);
  };

  const STEPS = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, -0.02], ArrowDown: [0, 0.02] };
  const moved = (event, box) => {
    const step = STEPS[event.key];
    if (!step || !may()) return;
    event.preventDefault();
    event.stopPropagation(); // arrows answer some questions
    const { x0, y0, x1, y1 } = box.kept;
    const [wide, high] = [x1 - x0, y1 - y0];
    if (event.shiftKey) {
      box.kept.x1 = inside(Math.max(x0 + 0.04, x1 + step[0]));
      box.kept.y1 = inside(Math.max(y0 + 0.04, y1 + step[1]));
    } else {
      box.kept.x0 = Math.min(1 - wide, inside(x0 + step[0]));
      box.kept.y0 = Math.min(1 - high, inside(y0 + step[1]));
      box.kept.x1 = box.kept.x0 + wide;
      box.kept.y1 = box.kept.y0 + high;
    }
    place(box.node, box.kept);
  };

  function listed() {
    list.replaceChildren(...boxes.map(row));
  }

  function row(box, i) {
    const line = part("li");
    box.node.dataset.number = i + 1;
    const move = part("button", "move", String(i + 1));
    move.type = "button";
    move.setAttribute("aria-label", words.move.replace("{number}", i + 1));
    move.title = move.getAttribute("aria-label");
    move.onkeydown = (event) => moved(event, box);
    const label = part("select");
    label.setAttribute("aria-label", words.what + " " + (i + 1));
    label.append(new Option(words.pick, "", true, !box.kept.label));
    for (const name of words.labels) label.append(new Option(name, name, false, name === box.kept.label));
    label.onchange = () => (box.kept.label = label.value);
    const gone = part("button", "gone", words.remove);
    gone.type = "button";
    gone.onclick = () => {
      box.node.remove();
      boxes.splice(boxes.indexOf(box), 1);
      listed();
    };
    line.append(move, label, gone);
    return line;
  }
}

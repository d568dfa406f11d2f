// A sheet: a sentence, perhaps a picture of boxes and lines, and tables that fold away.
function mountSheet(model, root) {
  const top = head(model, root);
  const sentence = element("div", { class: "pydock-sentence", role: "status" });
  const again = element("button", { type: "button", class: "pydock-button", title: "Ask the engine once more",
    onclick: () => model.send({ kind: "again" }) }, "look again");
  top.root.querySelector(".pydock-now").before(again);
  const picture = element("div", { class: "pydock-canvas" });
  const parts = element("div", { class: "pydock-parts" });
  const notes = element("div", { class: "pydock-foot" });
  root.append(top.root, top.problem, sentence, picture, parts, notes);
  const sections = new Map();
  let chosen = null, drawn = "";

  function draw() {
    sentence.textContent = model.get("sentence");
    again.hidden = !model.get("asks");
    notes.replaceChildren(...model.get("notes").map((note) => element("div", {}, note)));
    notes.hidden = !model.get("notes").length;
    const told = model.get("sections"), titles = new Set(told.map((each) => each.title));
    for (const [title, part] of sections) if (!titles.has(title)) (part.root.remove(), sections.delete(title));
    told.forEach((each, at) => {
      let part = sections.get(each.title);
      if (!part) sections.set(each.title, (part = newSection(each)));
      part.fill(each);
      if (parts.children[at] !== part.root) parts.insertBefore(part.root, parts.children[at] ?? null);
    });
    const graph = model.get("graph"), text = JSON.stringify(graph);
    if (text !== drawn) {
      const first = drawn === "";
      const focused = picture.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      drawn = text;
      picture.hidden = !graph.nodes?.length;
      if (graph.nodes?.length) {
        chosen = graph.nodes.some((node) => node.key === chosen) ? chosen : null;
        picture.replaceChildren(...drawGraph(graph, () => chosen, (key) => (chosen = key), first ? null : known));
        known = new Set(graph.nodes.map((node) => node.key));
        if (focused) picture.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
      }
    }
  }
  let known = new Set();
  const unhear = hearKeys(root, (target, key) => {
    const group = target.closest(".pydock-node");
    return !!group && group.ownerSVGElement.press(group, key);
  });
  draw();
  const heard = (message) => {
    if (message.kind !== "sections") return;
    for (const [at, section] of Object.entries(message.changed)) model.get("sections")[at] = section;
    draw();
  };
  const stop = watch(model, root, ["sentence", "sections", "graph", "notes", "asks"], draw, heard);
  return () => (unhear(), stop(), top.stop());
}

function newSection(told) {
  const summary = element("span", { class: "pydock-soft" });
  const body = element("tbody"), header = element("tr");
  const scroller = element("div", { class: "pydock-scroll", tabindex: "0", role: "region", "aria-label": told.title },
    element("table", { class: "pydock-table" }, element("thead", {}, header), body));
  const notes = element("div", { class: "pydock-soft pydock-notes-below" });
  const root = element("details", { class: "pydock-part", open: told.opened },
    element("summary", {}, element("b", {}, told.title), summary), scroller, notes);
  let before = null, filled = "";
  function fill(section) {
    const whole = JSON.stringify(section);
    if (whole === filled) return;
    filled = whole;
    summary.textContent = section.summary;
    header.replaceChildren(...section.head.map((text, at) =>
      element("th", { scope: "col", class: section.right.includes(at) ? "pydock-number" : null }, text)));
    header.parentNode.hidden = !section.head.some(Boolean);
    const texts = section.rows.map((row) => JSON.stringify(row.map((cell) => cell.text)));
    body.replaceChildren(...section.rows.map((row, at) =>
      element("tr", { class: before && !before.has(texts[at]) ? "pydock-fresh" : null }, ...row.map((cell, column) =>
        element("td", { class: section.right.includes(column) ? "pydock-number" : null }, ...drawCell(cell))))));
    before = new Set(texts);
    scroller.hidden = !section.rows.length;
    notes.replaceChildren(...section.notes.map((note) => element("div", {}, note)));
  }
  return { root, fill };
}

function drawCell({ text, kind, share }) {
  if (kind === "code") return [element("code", { class: text.length > 60 ? "pydock-long" : null }, text)];
  if (kind === "soft") return [element("span", { class: "pydock-soft" }, text)];
  if (kind === "bar") return [element("span", { class: "pydock-meter", "aria-hidden": "true" },
    element("span", { style: `width:${share > 0 ? Math.max(1, share * 100) : 0}%` })), ` ${text}`];
  return [text];
}

// Boxes are one stop of the tab key; arrow keys walk between them. What a box says in words stands below the picture.
function drawGraph(graph, chosen, choose, known) {
  const mark = `pydock-tip-${(drawGraph.count = (drawGraph.count ?? 0) + 1)}`;
  const svg = element("svg:svg", { viewBox: `0 0 ${graph.width} ${graph.height}`, class: "pydock-graph", role: "group",
    "aria-label": "Picture. Arrow keys walk from box to box, Enter holds one.", style: `max-width:${graph.width}px` },
    element("svg:defs", {}, element("svg:marker", { id: mark, viewBox: "0 0 8 8", refX: 7.5, refY: 4, markerWidth: 8,
      markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" }, element("svg:path", { d: "M0 .5 8 4 0 7.5z", class: "pydock-head-of-line" }))));
  const lines = graph.lines.map((line) => ({ ...line, shape: element("svg:path", { d: line.path, class: "pydock-line",
    "marker-end": line.arrow ? `url(#${mark})` : null }) }));
  const words = element("div", { class: "pydock-words", role: "status" });
  const boxes = graph.nodes.map((node) => ({ node, group: box(node, known && !known.has(node.key)) }));
  svg.append(...lines.map((line) => line.shape), ...boxes.map((each) => each.group));
  let looked = null;
  for (const { node, group } of boxes) {
    group.addEventListener("pointerenter", () => look(node.key));
    group.addEventListener("pointerleave", () => look(null));
    group.addEventListener("focus", () => (rove(group), look(node.key)));
    group.addEventListener("blur", () => look(null));
    group.addEventListener("click", () => (group.focus(), toggle(node.key)));
  }
  svg.press = (group, key) => {
    const { node } = boxes.find((each) => each.group === group) ?? {};
    if (!node) return false;
    if (ARROWS[key]) walk(node, ARROWS[key]);
    else if (key === "Enter" || key === " ") toggle(node.key);
    else if (key === "Escape") toggle(null);
    else return false;
    return true;
  };
  function toggle(key) {
    choose(key === chosen() ? null : key);
    show();
  }
  function look(key) {
    looked = key;
    show();
  }
  function show() {
    const key = looked ?? chosen();
    const near = new Set(key ? [key] : []);
    for (const { source, target, shape } of lines) {
      const lit = key && (source === key || target === key);
      shape.classList.toggle("lit", !!lit);
      shape.classList.toggle("dim", !!key && !lit);
      if (lit) near.add(source).add(target);
    }
    for (const { node, group } of boxes) {
      group.classList.toggle("lit", node.key === key);
      group.classList.toggle("dim", !!key && !near.has(node.key));
      group.setAttribute("aria-pressed", String(node.key === chosen()));
    }
    words.textContent = boxes.find((each) => each.node.key === key)?.node.words ?? "Point at a box, or walk with the arrow keys: it is told in words here.";
  }
  function rove(group) {
    for (const each of boxes) each.group.setAttribute("tabindex", each.group === group ? "0" : "-1");
  }
  function walk(from, [across, down]) {
    const middle = (node) => [node.x + node.width / 2, node.y + node.height / 2];
    const [x, y] = middle(from);
    // sideways along a line where there is one, else to the nearest
    const joined = (key) => lines.some(({ source, target }) => (source === from.key && target === key) || (target === from.key && source === key));
    const far = (node) => [across && !joined(node.key) ? 1 : 0, Math.abs(node.column - from.column), Math.abs(middle(node)[1] - y)];
    const there = boxes.filter(({ node }) => across
      ? node.column !== from.column && Math.sign(middle(node)[0] - x) === across
      : node.column === from.column && Math.sign(middle(node)[1] - y) === down)
      .map((each) => ({ ...each, far: far(each.node) }))
      .sort((a, b) => a.far[0] - b.far[0] || a.far[1] - b.far[1] || a.far[2] - b.far[2]);
    there[0]?.group.focus();
  }
  const first = boxes.find((each) => each.node.key === chosen()) ?? boxes[0];
  if (first) rove(first.group);
  show();
  return [svg, words];
}

function box(node, fresh) {
  const group = element("svg:g", { class: `pydock-node${node.faint ? " faint" : ""}${fresh ? " pydock-fresh" : ""}`, role: "button", tabindex: "-1",
    "aria-label": node.words || node.title, "data-key": node.key });
  const left = node.x + 11, right = node.x + node.width - 11, letter = 6.7;
  const put = (text, y, kind, x = left) => group.append(element("svg:text", { x, y, class: kind }, text));
  group.append(element("svg:rect", { x: node.x, y: node.y, width: node.width, height: node.height, rx: 8 }));
  if (node.about) put(node.about, node.y + 17, "pydock-about");
  put(cut(node.title, (node.width - 18) / 7.9), node.levels[0] + 5, "pydock-name");
  node.rows.forEach((row, at) => {
    const room = node.width - 18 - (row.aside ? (row.aside.length + 2) * letter : 0);
    put(cut(row.text, room / letter), node.levels[at + 1] + 4, "pydock-row");
    if (row.aside) put(row.aside, node.levels[at + 1] + 4, "pydock-row pydock-aside", right);
  });
  return group;
}

function cut(text, most) {
  most = Math.max(2, Math.floor(most));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

export default {
  initialize({ model, signal }) { return bringToLife(model, signal, mountSheet); },
  render({ model, el }) {
    const root = element("div", { class: "pydock-live" });
    el.append(root);
    return guarded(root, () => mountSheet(model, root));
  },
};

// The life cycle of containers: the engine's table of transitions as a drawing, lit as the events come in.
function mountStates(model, root) {
  const top = head(model, root);
  const { boxes, arrows, width, height } = model.get("diagram");
  const drawing = element("svg:svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "pydock-diagram",
    style: `max-width:${width}px` }, heads());
  const paths = new Map(), places = new Map();
  for (const arrow of arrows) {
    const path = element("svg:path", { d: arrow.path, class: "pydock-arrow" });
    const label = element("svg:text", { class: "pydock-label", "text-anchor": arrow.anchor },
      ...arrow.label.map((text, at) => element("svg:tspan", { x: arrow.x, y: arrow.y + 13 * at }, text)));
    drawing.append(path, label);
    paths.set(`${arrow.source}>${arrow.target}`, { path, label });
  }
  for (const box of boxes) {
    const name = element("svg:text", { x: box.x, y: box.y + 4.5, class: "pydock-state" }, box.state);
    const who = element("svg:text", { x: box.x, y: box.y + 13, class: "pydock-who" });
    const shape = { x: box.x - box.width / 2, y: box.y - box.height / 2, width: box.width, height: box.height, rx: 8 };
    const ring = { x: shape.x - 4, y: shape.y - 4, width: box.width + 8, height: box.height + 8, rx: 11, class: "pydock-ring" };
    const group = element("svg:g", { class: "pydock-box", "data-state": box.state },
      element("svg:rect", ring), element("svg:rect", shape), name, who);
    drawing.append(group);
    places.set(box.state, { box, group, name, who });
  }
  const body = element("tbody");
  const scroller = element("div", { class: "pydock-history", tabindex: "0", role: "region", "aria-label": "History" },
    element("table", {}, element("thead", {}, element("tr", {}, ...["Time", "Container", "Action", "Transition", "Outcome"].map((text) =>
      element("th", { scope: "col" }, text)))), body));
  const said = element("div", { class: "pydock-said", "aria-live": "polite" });
  root.append(top.root, top.problem, boxes.length ? element("div", { class: "pydock-picture" }, drawing) : "", said, scroller);

  let seen = new Map(model.get("containers").map((each) => [each.id, each.history.length]));
  function draw() {
    const containers = model.get("containers");
    for (const { path, label } of paths.values()) [path, label].forEach((part) => part.classList.remove("taken", "last"));
    for (const place of places.values()) place.names = [];
    for (const each of containers) {
      const moves = each.history.filter((step) => step.arrow);
      moves.forEach((step, at) => {
        const arrow = paths.get(step.arrow);
        for (const part of arrow ? [arrow.path, arrow.label] : []) {
          part.classList.add("taken");
          if (at === moves.length - 1) part.classList.add("last");
        }
      });
      places.get(each.state)?.names.push(each.name);
    }
    for (const { box, group, name, who, names } of places.values()) {
      group.classList.toggle("lit", names.length > 0);
      const text = names.join(", ");
      who.textContent = text.length > 18 ? `${text.slice(0, 17)}…` : text;
      name.setAttribute("y", names.length ? box.y - 3 : box.y + 4.5);
    }
    drawing.setAttribute("aria-label", `Container life cycle: ${model.get("title")}`);
    said.textContent = model.get("title");
    list(containers);
    containers.forEach(follow);
  }
  function list(containers) {
    const steps = containers.flatMap((each) => each.history.map((step) => ({ ...step, name: each.name })));
    steps.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
    body.replaceChildren(...steps.map((step) => element("tr", {},
      element("td", {}, element("code", {}, step.clock)), element("td", {}, step.name), element("td", {}, element("code", {}, step.action)),
      element("td", {}, step.move), element("td", {}, step.outcome))));
    scroller.hidden = !steps.length;
    scroller.classList.toggle("pydock-one", containers.length === 1);
    scroller.scrollTop = scroller.scrollHeight;
  }
  // A dot runs along each arrow that was newly taken, one after the other.
  async function follow(each) {
    const known = seen.get(each.id) ?? 0;
    seen.set(each.id, each.history.length);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const step of each.history.slice(known)) {
      const arrow = paths.get(step.arrow);
      if (!arrow) continue;
      const dot = element("svg:circle", { r: 6, class: "pydock-dot", style: `offset-path:path("${arrow.path.getAttribute("d")}")` });
      drawing.append(dot);
      await dot.animate([{ offsetDistance: "0%" }, { offsetDistance: "100%" }], { duration: 600, easing: "ease-in-out" }).finished.catch(() => {});
      dot.remove();
    }
  }
  draw();
  const stop = watch(model, root, ["containers"], draw);
  return () => (stop(), top.stop());
}

function heads() {
  const head = (id, kind) => element("svg:marker", { id, viewBox: "0 0 8 8", refX: 7.5, refY: 4, markerWidth: 8, markerHeight: 8,
    markerUnits: "userSpaceOnUse", orient: "auto" }, element("svg:path", { d: "M0 .5 8 4 0 7.5z", class: kind }));
  return element("svg:defs", {}, head("pydock-head", "pydock-tip"), head("pydock-head-taken", "pydock-tip taken"));
}

export default {
  initialize({ model, signal }) { return bringToLife(model, signal, mountStates); },
  render({ model, el }) {
    const root = element("div", { class: "pydock-live" });
    el.append(root);
    return guarded(root, () => mountStates(model, root));
  },
};

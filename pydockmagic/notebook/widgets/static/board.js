// The board of containers: a row for each, with its buttons and a line of what it used in the last minute.
function mountBoard(model, root) {
  const top = head(model, root);
  const list = element("div", { class: "pydock-board", role: "list" });
  const empty = element("div", { class: "pydock-foot" }, "There are no containers. The next one appears here by itself.");
  const note = element("div", { class: "pydock-foot" }, model.get("note"));
  root.append(top.root, top.problem, list, empty, note);
  note.hidden = !model.get("note");
  const rows = new Map();

  function draw() {
    const told = model.get("rows"), there = new Set(told.map((each) => each.id));
    for (const [id, row] of rows) if (!there.has(id)) leave(id, row);
    told.forEach((each, at) => {
      let row = rows.get(each.id);
      if (!row) rows.set(each.id, (row = newRow(model, each)));
      row.fill(each, model.get("busy")[each.id], model.get("refused")[each.id]);
      if (list.children[at] !== row.root) list.insertBefore(row.root, list.children[at] ?? null);
    });
    empty.hidden = told.length > 0;
    if (!list.querySelector("button[tabindex='0']")) list.querySelector("button:not(:disabled)")?.setAttribute("tabindex", "0");
  }
  // Who had the focus in a row that goes finds it in the next one.
  function leave(id, row) {
    const focused = row.root.contains(document.activeElement);
    const next = row.root.nextElementSibling ?? row.root.previousElementSibling;
    row.root.remove();
    rows.delete(id);
    if (focused) next?.querySelector("button:not(:disabled)")?.focus();
  }
  function walk(button, across, down) {
    const row = button.closest(".pydock-card");
    if (down) {
      const cards = [...list.children], next = cards[cards.indexOf(row) + down];
      const same = next?.querySelector(`button[data-action="${button.dataset.action}"]:not(:disabled)`);
      (same ?? next?.querySelector("button:not(:disabled)"))?.focus();
      return;
    }
    const buttons = [...row.querySelectorAll("button:not(:disabled)")];
    buttons[(buttons.indexOf(button) + across + buttons.length) % buttons.length]?.focus();
  }
  const unhear = hearKeys(root, (target, key) => {
    const button = target.closest("button[data-action]");
    if (!button || !ARROWS[key]) return false;
    walk(button, ...ARROWS[key]);
    return true;
  });
  const heard = (message) => {
    if (message.kind !== "reading") return;
    const usage = model.get("usage");
    const kept = (usage[message.id] ??= []);
    if (kept.at(-1) !== message.reading) kept.push(message.reading);
    kept.splice(0, kept.length - 60);
    rows.get(message.id)?.measure(kept);
  };
  const clock = setInterval(() => model.get("rows").forEach((each) => rows.get(each.id)?.age(each)), 5000);
  draw();
  for (const [id, row] of rows) row.measure(model.get("usage")[id] ?? []);
  const stop = watch(model, root, ["rows", "busy", "refused"], draw, heard);
  return () => (clearInterval(clock), unhear(), stop(), top.stop());
}

const WHY = { start: "it runs already", stop: "it does not run", pause: "only what runs can be paused", unpause: "it is not paused",
  kill: "it does not run", rm: "it must be stopped first", restart: "not in this state" };

function newRow(model, { id }) {
  const sign = element("b", { class: "pydock-state-sign", "aria-hidden": "true" });
  const name = element("b", { class: "pydock-card-name" }), state = element("span", { class: "pydock-badge" });
  const about = element("span", { class: "pydock-soft pydock-card-about" });
  const cpu = newSpark("CPU"), memory = newSpark("memory");
  const said = element("span", { class: "pydock-soft", role: "status" });
  const problem = element("div", { class: "pydock-problem", role: "alert", hidden: true });
  const buttons = model.get("actions").map((action) => element("button", { type: "button", class: "pydock-button", "data-action": action,
    tabindex: "-1", onclick: () => {
      if (underWay()) return;
      said.textContent = `${action}…`;
      for (const button of buttons) button.setAttribute("aria-busy", "true");
      model.send({ kind: "do", action, id });
    } }, action));
  const underWay = () => buttons.some((button) => button.hasAttribute("data-busy") || button.hasAttribute("aria-busy"));
  const bar = element("div", { class: "pydock-buttons", role: "toolbar" }, ...buttons, said);
  for (const button of buttons) {
    button.addEventListener("focus", () => {
      for (const each of bar.closest(".pydock-board")?.querySelectorAll("button[tabindex='0']") ?? []) each.setAttribute("tabindex", "-1");
      button.setAttribute("tabindex", "0");
    });
  }
  const root = element("div", { class: "pydock-card", role: "listitem", "data-id": id },
    element("div", { class: "pydock-card-top" }, sign, name, state, about, element("span", { class: "pydock-sparks" }, cpu.root, memory.root)), bar, problem);
  function fill(row, busy, refused) {
    sign.textContent = row.sign;
    name.textContent = row.name;
    state.textContent = row.state;
    root.dataset.state = row.state;
    age(row);
    about.title = row.command;
    bar.setAttribute("aria-label", `Actions on ${row.name}, which is ${row.state}`);
    const focused = bar.contains(document.activeElement);
    for (const button of buttons) {
      const action = button.dataset.action, allowed = row.allowed.includes(action);
      button.disabled = !allowed && !busy; // while something is under way the focus stays where it is
      button.toggleAttribute("data-busy", !!busy);
      button.title = allowed ? `docker ${action} ${row.name}` : `Not now: ${WHY[action] ?? "not in this state"}`;
      button.removeAttribute("aria-busy");
    }
    said.textContent = busy ? `${busy}…` : "";
    if (focused && document.activeElement.disabled !== false) buttons.find((button) => !button.disabled)?.focus();
    problem.textContent = refused ?? "";
    problem.hidden = !refused;
    if (row.state !== "running" && row.state !== "paused") measure([]);
  }
  function age(row) {
    about.textContent = [aged(row), row.image, row.ports.join(", ")].filter(Boolean).join(" · ");
  }
  function measure(readings) {
    const percents = readings.map((each) => each.cpu ?? 0), now = readings.at(-1);
    cpu.draw(percents, Math.max(10, ...percents), now && now.cpu != null ? `${now.cpu < 10 ? now.cpu.toFixed(1) : Math.round(now.cpu)} %` : "");
    const bytes = readings.map((each) => each.memory ?? 0);
    memory.draw(bytes, now?.limit && now.limit < 4 * Math.max(...bytes) ? now.limit : 1.25 * Math.max(1, ...bytes), now ? now.text : "");
  }
  return { root, fill, age, measure };
}

// How long it has run, or since when it has ended: counted here, the engine is not asked for it.
function aged({ since, state, status }) {
  if (!since) return status.toLowerCase() === state ? "" : status;
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - since));
  const [count, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].map(([size, word]) => [Math.floor(seconds / size), word]).find(([many]) => many >= 1) ?? [0, "second"];
  const age = `${count} ${unit}${count === 1 ? "" : "s"}`, more = status.match(/\((healthy|unhealthy|health: starting|Paused)\)/)?.[0] ?? "";
  return state === "exited" ? `exit code ${status.match(/\((-?\d+)\)/)?.[1] ?? "?"}, ${age} ago` : `up ${age} ${more}`.trim();
}

function newSpark(what) {
  const line = element("svg:polyline", { class: "pydock-spark-line" }), area = element("svg:polygon", { class: "pydock-spark-area" });
  const drawing = element("svg:svg", { viewBox: "0 0 90 22", class: "pydock-spark", role: "img" }, area, line);
  const text = element("span", { class: "pydock-spark-text" });
  const root = element("span", { class: "pydock-use", hidden: true }, element("span", { class: "pydock-soft" }, what), drawing, text);
  function draw(values, most, now) {
    root.hidden = !values.length;
    if (!values.length) return;
    const points = values.map((value, at) => `${(90 - (values.length - 1 - at) * (90 / 59)).toFixed(1)},${(21 - (20 * value) / most).toFixed(1)}`);
    line.setAttribute("points", points.join(" "));
    area.setAttribute("points", `${points[0].split(",")[0]},22 ${points.join(" ")} 90,22`);
    text.textContent = now;
    drawing.setAttribute("aria-label", `${what} of the last minute; now ${now || "not known yet"}`);
  }
  return { root, draw };
}

export default {
  initialize({ model, signal }) { return bringToLife(model, signal, mountBoard); },
  render({ model, el }) {
    const root = element("div", { class: "pydock-live" });
    el.append(root);
    return guarded(root, () => mountBoard(model, root));
  },
};

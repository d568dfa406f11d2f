// The stack of layers: a row for each, its files in a list that only draws what is in sight.
const CHANGES = { A: "added", C: "changed", D: "deleted" };
const ROW = 22;

function bytes(count) {
  let unit = 0;
  for (; count >= 1000 && unit < 4; unit++) count /= 1000;
  return (unit ? Number(count.toPrecision(3)) : count) + ["B", "kB", "MB", "GB", "TB"][unit];
}

async function unpack(buffer) {
  const packed = new Blob([buffer]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream("gzip"))).json();
}

function fileList(data, note) {
  let shown = [];
  const wanted = new Set(Object.keys(CHANGES));
  const counts = { A: 0, C: 0, D: 0 };
  for (const change of data.change) counts[change]++;
  const inner = element("div", { class: "pydock-inner" });
  const view = element("div", { class: "pydock-files", tabindex: "0", role: "table", "aria-label": "Files" }, inner);
  const status = element("span", { class: "pydock-soft", role: "status" });
  const search = element("input", { type: "search", placeholder: "filter by path", "aria-label": "Filter files by path" });
  const order = element("select", { "aria-label": "Order of the files" },
    element("option", { value: "size" }, "largest first"), element("option", { value: "path" }, "by path"));
  const toggles = Object.keys(CHANGES).filter((change) => counts[change]).map((change) =>
    element("button", { type: "button", class: "pydock-toggle", "aria-pressed": "true", onclick: (event) => {
      const on = wanted.has(change);
      on ? wanted.delete(change) : wanted.add(change);
      event.currentTarget.setAttribute("aria-pressed", String(!on));
      arrange();
    } }, element("b", {}, change), ` ${counts[change].toLocaleString()} ${CHANGES[change]}`));

  function arrange() {
    const text = search.value.toLowerCase();
    shown = [];
    for (let at = 0; at < data.path.length; at++)
      if (wanted.has(data.change[at]) && (!text || data.path[at].toLowerCase().includes(text))) shown.push(at);
    if (order.value === "path") shown.sort((a, b) => (data.path[a] < data.path[b] ? -1 : 1));
    inner.style.height = `${shown.length * ROW}px`;
    view.setAttribute("aria-rowcount", shown.length);
    view.scrollTop = 0;
    status.textContent = `${shown.length.toLocaleString()} of ${data.total.toLocaleString()}`;
    paint();
  }
  function paint() {
    const first = Math.max(0, Math.floor(view.scrollTop / ROW) - 5);
    const last = Math.min(shown.length, first + Math.ceil((view.clientHeight || 242) / ROW) + 10);
    const rows = [];
    for (let at = first; at < last; at++) {
      const file = shown[at], change = data.change[file], target = data.target[file];
      rows.push(element("div", { class: "pydock-file", role: "row", "aria-rowindex": at + 1, "data-change": change,
        style: `top:${at * ROW}px` },
        element("b", { role: "cell", title: CHANGES[change] }, change),
        element("span", { role: "cell", class: "pydock-size" }, change === "D" ? "" : bytes(data.size[file])),
        element("span", { role: "cell", class: "pydock-path", title: data.path[file] },
          data.path[file], target ? element("span", { class: "pydock-soft" }, ` → ${target}`) : null)));
    }
    inner.replaceChildren(...rows);
  }
  search.addEventListener("input", arrange);
  order.addEventListener("change", arrange);
  view.addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
  view.style.height = `${Math.min(11, Math.max(1, data.path.length)) * ROW}px`;
  const few = data.path.length < 8;
  const tools = element("div", { class: "pydock-tools" }, ...toggles, few ? null : search, few ? null : order, status);
  arrange();
  return element("div", {}, tools, view, note ? element("div", { class: "pydock-soft" }, note) : null);
}

function mountLayers(model, root) {
  const top = head(model, root);
  const stack = element("div", { class: "pydock-stack" });
  const rows = model.get("rows");
  const largest = Math.max(1, ...rows.map((row) => row.size));
  const stops = [top.stop];
  rows.forEach((row, at) => stack.append(...layer(row, at)));
  root.append(top.root, top.problem, stack, ...(model.get("note") ? [element("div", { class: "pydock-foot" }, model.get("note"))] : []));

  function layer(row, at) {
    const notes = row.notes.map((note) => element("span", { class: "pydock-note", title: note }, note));
    const share = row.size ? Math.max(0.5, (100 * row.size) / largest) : 0;
    const kept = row.size ? (100 * (row.size - row.wasted)) / row.size : 100;
    const bar = element("span", { class: "pydock-track" }, element("span", { class: "pydock-bar",
      style: `width:${share}%;--kept:${kept}%` }));
    const cells = [
      element("span", { class: "pydock-sign", "aria-hidden": "true" }),
      row.empty ? element("span", { class: "pydock-soft pydock-none" }, "no layer") : bar,
      element("span", { class: "pydock-size" }, row.empty ? "" : bytes(row.size)),
      element("code", {}, row.instruction),
      element("span", { class: "pydock-notes" }, row.place ? element("span", { class: "pydock-soft" }, row.place) : null, ...notes),
    ];
    const kind = `pydock-layer${row.writable ? " pydock-writable" : ""}${row.empty ? " pydock-empty" : ""}`;
    if (row.empty || !row.files) return [element("div", { class: kind, "data-layer": at }, ...cells)];
    const panel = element("div", { class: "pydock-panel", hidden: true });
    const button = element("button", { type: "button", class: kind, "data-layer": at, "aria-expanded": "false",
      title: `${row.files.toLocaleString()} files: show them`, onclick: () => toggle(at) }, ...cells);
    let drawn = null;
    const open = () => {
      const opened = model.get("expanded").includes(at);
      button.setAttribute("aria-expanded", String(opened));
      panel.hidden = !opened;
      if (opened) fill();
    };
    const fill = async () => {
      const packed = model.get("files")[at];
      if (!packed) return void panel.replaceChildren(element("span", { class: "pydock-soft" }, "reading the files…"));
      if (drawn === packed) return;
      drawn = packed;
      try {
        const data = await unpack(packed);
        panel.replaceChildren(fileList(data, data.path.length < data.total ? `the largest ${data.path.length.toLocaleString()} files` : ""));
      } catch (error) {
        panel.replaceChildren(element("div", { class: "pydock-problem", role: "alert" }, `The files cannot be shown: ${error.message}`));
      }
    };
    stops.push(watch(model, root, ["expanded", "files"], open));
    open();
    return [button, panel];
  }
  function toggle(at) {
    const open = model.get("expanded");
    model.set("expanded", open.includes(at) ? open.filter((each) => each !== at) : [...open, at]);
    model.save_changes();
  }
  return () => stops.forEach((stop) => stop());
}

export default {
  initialize({ model, signal }) { return bringToLife(model, signal, mountLayers); },
  render({ model, el }) {
    const root = element("div", { class: "pydock-live" });
    el.append(root);
    return guarded(root, () => mountLayers(model, root));
  },
};

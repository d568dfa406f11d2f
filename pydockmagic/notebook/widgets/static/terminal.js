// A terminal: what is typed goes to the program, rows that changed come back.
const KEYS = {
  Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", Insert: "\x1b[2~", PageUp: "\x1b[5~",
  PageDown: "\x1b[6~", F1: "\x1bOP", F2: "\x1bOQ", F3: "\x1bOR", F4: "\x1bOS", F5: "\x1b[15~", F6: "\x1b[17~",
  F7: "\x1b[18~", F8: "\x1b[19~", F9: "\x1b[20~", F10: "\x1b[21~", F11: "\x1b[23~", F12: "\x1b[24~",
};
const BEGUN = (globalThis[Symbol.for("pydock.begun")] ??= new Set());
const MOVES = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" };

function mountTerminal(model, root) {
  const top = head(model, root);
  const screen = element("pre", { class: "pydock-screen", "aria-hidden": "true" });
  const input = element("textarea", { "aria-label": `Terminal: ${model.get("title")}. Shift and Tab leave it.`,
    autocapitalize: "off", autocomplete: "off", autocorrect: "off", spellcheck: "false", rows: 1 });
  // The notebook's own shortcuts stay away from an element with this mark.
  const box = element("div", { class: "pydock-terminal", "data-lm-suppress-shortcuts": "true" }, screen, input);
  const hint = element("div", { class: "pydock-keys" });
  const spoken = element("div", { class: "pydock-spoken", role: "log", "aria-live": "polite", hidden: false,
    style: "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)" });
  root.append(top.root, top.problem, box, hint, spoken);
  let lines = [];

  // Messages to a kernel may take two ways and overtake each other: they are numbered.
  const view = Math.random().toString(36).slice(2);
  let count = 0;
  const send = (text) => text && model.send({ kind: "keys", text, view, number: count++ });
  const leave = (event) => event.stopPropagation();
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const text = keyed(event, model.get("application"));
    if (text === null) return;
    event.preventDefault();
    send(text);
  });
  for (const name of ["keypress", "keyup", "copy", "cut", "contextmenu"]) box.addEventListener(name, leave);
  input.addEventListener("paste", (event) => {
    event.stopPropagation();
    event.preventDefault();
    send(event.clipboardData.getData("text").replaceAll("\r\n", "\r").replaceAll("\n", "\r"));
  });
  input.addEventListener("input", (event) => { // what an input method or a screen keyboard has put together
    if (event.isComposing) return;
    send(input.value);
    input.value = "";
  });
  input.addEventListener("compositionend", () => (send(input.value), (input.value = "")));
  box.addEventListener("pointerup", () => {
    if (!getSelection().toString() && !model.get("ended")) input.focus({ preventScroll: true });
  });

  function drawAll() {
    lines = model.get("rows").map((row) => drawRow(row, model.get("colours")));
    screen.replaceChildren(...lines.flatMap((line) => [line, "\n"]));
    drawCursor();
  }
  function drawRows(rows) {
    const known = model.get("rows");
    const said = [];
    for (const [at, row] of Object.entries(rows)) {
      if (!(at in lines)) continue;
      known[at] = row;
      const fresh = drawRow(row, model.get("colours"));
      said.push(fresh.textContent.trimEnd());
      lines[at].replaceWith(fresh);
      lines[at] = fresh;
    }
    drawCursor();
    spoken.textContent = said.join("\n");
  }
  let marked = -1;
  function drawCursor() {
    if (marked in lines) {
      const plain = drawRow(model.get("rows")[marked] ?? [], model.get("colours"));
      lines[marked].replaceWith(plain);
      lines[marked] = plain;
    }
    marked = -1;
    const [row, column] = model.get("cursor");
    if (row === undefined || model.get("ended") || !(row in lines)) return;
    const fresh = drawRow(model.get("rows")[row], model.get("colours"), column);
    lines[row].replaceWith(fresh);
    lines[row] = fresh;
    marked = row;
  }
  function drawEnd() {
    const ended = model.get("ended");
    box.classList.toggle("pydock-ended", ended);
    input.disabled = ended;
    hint.textContent = ended ? "" : "Click and type. Ctrl-P Ctrl-Q leaves the program running, Shift-Tab leaves the terminal.";
    if (ended) {
      let last = lines.length;
      while (last > 1 && !lines[last - 1].textContent.trim()) last--;
      screen.replaceChildren(...lines.slice(0, last).flatMap((line) => [line, "\n"]));
    }
  }
  function measure() {
    if (model.get("ended") || !box.isConnected || !box.clientWidth) return;
    const probe = element("span", {}, "0".repeat(50));
    screen.append(probe);
    const { width, height } = probe.getBoundingClientRect();
    probe.remove();
    const style = getComputedStyle(box);
    const inner = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const tall = box.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    const line = parseFloat(getComputedStyle(screen).lineHeight) || height;
    if (width) model.send({ kind: "size", rows: Math.floor(tall / line), columns: Math.floor(inner / (width / 50)) });
  }
  drawAll();
  drawEnd();
  let timer;
  const sizes = new ResizeObserver(() => (clearTimeout(timer), (timer = setTimeout(measure, 150))));
  sizes.observe(box);
  const heard = (message) => message.kind === "rows" && drawRows(message.rows);
  const stops = [watch(model, root, ["rows"], drawAll, heard), watch(model, root, ["cursor"], drawCursor), watch(model, root, ["ended"], () => (drawCursor(), drawEnd()))];
  // A terminal that has just begun takes the keys; one that comes into sight again leaves them where they are.
  const typing = document.activeElement?.matches("input, textarea, [contenteditable=true]");
  if (!BEGUN.has(model.get("token")) && !typing) setTimeout(() => !model.get("ended") && box.isConnected && input.focus({ preventScroll: true }), 50);
  BEGUN.add(model.get("token"));
  return () => (sizes.disconnect(), clearTimeout(timer), stops.forEach((stop) => stop()), top.stop());
}

// What a key sends; null leaves it to the browser.
function keyed(event, application) {
  const { key, ctrlKey, altKey, metaKey, shiftKey } = event;
  if (event.isComposing || metaKey) return null;
  if (key === "Tab" && shiftKey) return null;
  if (ctrlKey && shiftKey && (key === "C" || key === "V")) return null; // copy and paste are the browser's
  if (ctrlKey && key === "v") return null;
  if (ctrlKey && key === "c" && getSelection().toString()) return null;
  if (key in MOVES) return `\x1b${application && !ctrlKey ? "O" : "["}${ctrlKey ? "1;5" : ""}${MOVES[key]}`;
  if (key in KEYS) return (altKey ? "\x1b" : "") + KEYS[key];
  if (key.length !== 1) return null;
  if (ctrlKey && !altKey) {
    const code = key.toUpperCase().charCodeAt(0);
    if (key === " ") return "\0";
    return code >= 63 && code <= 95 ? String.fromCharCode(code & 31) : null;
  }
  return (altKey && !ctrlKey ? "\x1b" : "") + key;
}

function drawRow(row, colours, cursor = -1) {
  const line = element("span");
  let column = 0;
  const put = (text, style, mark) => line.append(element("span", { style, class: mark ? "pydock-cursor" : null }, text));
  for (const [text, front, back, flags] of row) {
    const style = styled(front, back, flags, colours), letters = [...text];
    const at = cursor - column;
    if (at >= 0 && at < letters.length) {
      if (at) put(letters.slice(0, at).join(""), style);
      put(letters[at], style, true);
      if (at + 1 < letters.length) put(letters.slice(at + 1).join(""), style);
    } else if (style) put(text, style);
    else line.append(text);
    column += letters.length;
  }
  if (cursor >= column) {
    if (cursor > column) line.append(" ".repeat(cursor - column));
    put(" ", null, true);
  }
  return line;
}

function styled(front, back, flags, colours) {
  const colour = (name) => colours[name] ?? (name.startsWith("#") ? name : `#${name}`);
  if (flags.includes("r")) [front, back] = [back || "#1c1f24", front || "#d4d4d4"];
  const rules = [];
  if (front) rules.push(`color:${colour(front)}`);
  if (back) rules.push(`background:${colour(back)}`);
  if (flags.includes("b")) rules.push("font-weight:700");
  if (flags.includes("i")) rules.push("font-style:italic");
  const lines = [flags.includes("u") && "underline", flags.includes("s") && "line-through"].filter(Boolean);
  if (lines.length) rules.push(`text-decoration:${lines.join(" ")}`);
  return rules.join(";") || null;
}

export default {
  initialize: ({ model, signal }) => bringToLife(model, signal, mountTerminal),
  render: ({ model, el }) => {
    const root = element("div", { class: "pydock-live" });
    el.append(root);
    return guarded(root, () => mountTerminal(model, root));
  },
};

// Brings static HTML to life. A display is saved as HTML only, so it can be read anywhere; while its kernel runs, the
// widget model that belongs to it (same token in a class name) lays the live view over it, wherever it is shown.
const LIVE = (globalThis[Symbol.for("pydock.live")] ??= new Map());

function bringToLife(model, signal, mount) {
  const name = `pydock-${model.get("token")}`;
  const views = new Map();
  LIVE.get(name)?.();
  const look = () => {
    for (const [host, view] of views) {
      if (host.isConnected && host.firstChild === view.root) continue;
      view.dispose();
      views.delete(host);
    }
    for (const host of [...document.getElementsByClassName(name)]) {
      if (views.has(host)) continue;
      const saved = [...host.childNodes];
      const root = element("div", { class: "pydock-live" });
      host.replaceChildren(root);
      const dispose = guarded(root, () => mount(model, root));
      const unhear = hearKeys(root, () => false);
      views.set(host, { root, saved, dispose: () => (unhear(), dispose?.()) });
    }
  };
  const observer = new MutationObserver(look);
  const stop = () => {
    observer.disconnect();
    if (LIVE.get(name) === stop) LIVE.delete(name);
    for (const [host, view] of views) {
      view.dispose();
      if (host.isConnected) host.replaceChildren(...view.saved);
    }
    views.clear();
  };
  LIVE.set(name, stop);
  observer.observe(document.body, { childList: true, subtree: true });
  look();
  signal?.addEventListener("abort", stop);
  return stop;
}

// Keys pressed within a view are the view's own: the notebook, which listens to the whole document, has uses for arrows
// and Enter too. ``press`` says whether it has used a key; what activates a control or scrolls is left to the browser.
function hearKeys(root, press) {
  const heard = (event) => {
    if (!root.contains(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const used = press(event.target, event.key);
    const activates = (event.key === "Enter" || event.key === " ") && event.target.closest("button, summary");
    const scrolls = event.key in ARROWS && event.target.matches(".pydock-scroll, .pydock-files, .pydock-history");
    if (used) event.preventDefault();
    if (used || activates || scrolls) event.stopImmediatePropagation();
  };
  window.addEventListener("keydown", heard, true);
  return () => window.removeEventListener("keydown", heard, true);
}

const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

// An error is shown where the person looks, not only in the console.
function guarded(root, draw) {
  try {
    return draw();
  } catch (error) {
    console.error(error);
    const text = `This view failed: ${error.message}`;
    if ([...root.querySelectorAll(".pydock-failed")].some((each) => each.textContent === text)) return;
    root.append(element("div", { class: "pydock-problem pydock-failed", role: "alert" }, text));
  }
}

function element(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), (event) => guarded(made.closest(".pydock-live") ?? made, () => value(event)));
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

// Draws anew when one of these traits changes, and hands on messages of the kernel.
function watch(model, root, names, changed, heard) {
  const draw = () => guarded(root, changed);
  const hear = (message) => guarded(root, () => heard(message));
  for (const name of names) model.on(`change:${name}`, draw);
  if (heard) model.on("msg:custom", hear);
  return () => {
    names.forEach((name) => model.off(`change:${name}`, draw));
    if (heard) model.off("msg:custom", hear);
  };
}

function head(model, view) {
  const title = element("b");
  const about = element("span", { class: "pydock-soft" });
  const problem = element("div", { class: "pydock-problem", role: "alert" });
  const draw = () => {
    title.textContent = model.get("title");
    about.textContent = [model.get("summary"), model.get("engine")].filter(Boolean).join(" · ");
    problem.textContent = model.get("problem");
    problem.hidden = !model.get("problem");
  };
  draw();
  const now = element("span", { class: "pydock-now" }, "live");
  const unfollow = followKernel(model, (why) => {
    now.classList.toggle("pydock-then", !!why);
    now.textContent = why || "live";
    view.classList.toggle("pydock-over", !!why); // what asks the kernel for something goes
  });
  const unwatch = watch(model, view, ["title", "summary", "engine", "problem"], draw);
  const root = element("div", { class: "pydock-head" }, title, about, now);
  return { root, problem, stop: () => (unfollow(), unwatch()) };
}

// Tells why a view is not live, or "": a kernel starts anew (its models know), is shut down, or cannot be reached.
function followKernel(model, tell) {
  const kernel = model.widget_manager?.kernel; // of the notebooks that have one in their page
  let ended = false, over = kernel?.isDisposed ?? false;
  const draw = () => {
    const lost = kernel && !over && kernel.connectionStatus === "disconnected";
    tell(ended || over ? "no longer live: the kernel has ended" : lost ? "not live: no connection to the kernel" : "");
  };
  const turn = () => ((ended = !ended), draw()); // the model's own flag is not handed to views, only that it changed
  const dispose = () => ((over = true), draw());
  model.on("comm_live_update", turn);
  kernel?.disposed?.connect(dispose);
  kernel?.connectionStatusChanged?.connect(draw);
  draw();
  return () => {
    model.off("comm_live_update", turn);
    kernel?.disposed?.disconnect(dispose);
    kernel?.connectionStatusChanged?.disconnect(draw);
  };
}

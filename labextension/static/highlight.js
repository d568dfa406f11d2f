// Colours cells by what is in them: %%dockerfile cells of a Python notebook, and all cells of the Docker kernel.
// A hand-written prebuilt extension, without bundler: it shares no module with the application and looks only at its
// widgets, by what they offer. Where one offers something else, cells keep the colours they had.
const DOCKERFILE = "text/x-dockerfile", SHELL = "text/x-sh", YAML = "text/x-yaml", PYTHON = "text/x-ipython";
const INSTRUCTION = /^(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR)\s|^(from\s|arg\s+\w|#\s*(syntax|escape|check)\s*=)/i;
const COMPOSE = /^(services|version|name|networks|volumes|configs|secrets|include|x-[\w.-]+)\s*:(\s|$)/;
const SETTLED = 200; // ms: after a change of type the editor loads its language, and the later one must be ours

// What the Docker kernel makes of a cell (pydockmagic/kernel/cells.py); small `run` is a command, not an instruction.
function kindOf(text) {
  for (const line of text.split("\n")) {
    const said = line.trim();
    if (!said || (said.startsWith("#") && !INSTRUCTION.test(said))) continue;
    if (/^[%!?]|\?$/.test(said)) return said.startsWith("%%dockerfile") ? DOCKERFILE : PYTHON;
    const word = said.split(/\s/)[0];
    if (INSTRUCTION.test(said) && (word === word.toUpperCase() || /^(from|arg)$/i.test(word))) return DOCKERFILE;
    return COMPOSE.test(line) ? YAML : SHELL;
  }
  return "";
}

function wanted(text, usual) {
  if (usual === DOCKERFILE) return kindOf(text) || usual;
  return /^\s*%%dockerfile\b/.test(text) ? DOCKERFILE : usual;
}

const quietly = (work) => (...given) => {
  try {
    return work(...given);
  } catch (error) {
    console.debug("pydockmagic: cells keep their colours", error);
  }
};

function follow(panel) {
  const notebook = panel.content, heard = new WeakSet();
  let timer;
  const colour = quietly(() => {
    for (const cell of notebook.model?.cells ?? []) {
      if (cell.type !== "code") continue;
      if (!heard.has(cell)) (heard.add(cell), cell.mimeTypeChanged.connect(soon));
      const type = wanted(cell.sharedModel.getSource(), notebook.codeMimetype);
      if (type && type !== cell.mimeType) cell.mimeType = type;
    }
  });
  const soon = () => (clearTimeout(timer), (timer = setTimeout(colour, SETTLED)));
  const watch = quietly(() => (notebook.model?.contentChanged.connect(soon), soon()));
  notebook.modelChanged.connect(watch);
  watch();
}

const plugin = {
  id: "pydockmagic:highlight",
  description: "Colours %%dockerfile cells, and the cells of the Docker kernel, by what is in them.",
  autoStart: true,
  activate: quietly((app) => {
    const known = new WeakSet();
    const look = quietly(() => {
      for (const panel of app.shell.widgets("main")) {
        if (known.has(panel) || !panel.content?.modelChanged || panel.content.codeMimetype === undefined) continue;
        known.add(panel);
        follow(panel);
      }
    });
    (app.shell.layoutModified ?? app.shell.currentChanged).connect(look);
    app.shell.currentChanged?.connect(look);
    app.restored.then(look);
  }),
};

(globalThis._JUPYTERLAB ??= {}).pydockmagic = {
  init: () => {},
  get: async () => () => ({ __esModule: true, default: plugin }),
};

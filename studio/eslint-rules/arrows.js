import path from "node:path";

/** Which rooms of src/ a room may import, besides itself. "types" means `import type` only; a list names the modules. */
const ROOMS = {
  api: {},
  stream: { api: "all" },
  model: { api: "types", stream: "types" },
  // How moments and durations are worded is no domain, and is said once.
  ui: { model: ["time"] },
  // Parts of pages that know the domain and that several features use.
  blocks: { api: "all", stream: "all", model: "all", ui: "all" },
  features: { api: "all", stream: "all", model: "all", ui: "all", blocks: "all" },
  app: { api: "all", stream: "all", model: "all", ui: "all", blocks: "all", features: "all" },
};

const SRC = path.resolve(import.meta.dirname, "../src");

/** @type {import("eslint").Rule.RuleModule} */
export const arrows = {
  meta: {
    type: "problem",
    docs: { description: "Imports between the rooms of src/ go one way." },
    schema: [],
    messages: {
      room: "{{from}}/ may not import {{to}}/: see the rooms in studio/README.md.",
      types: "{{from}}/ may import only types of {{to}}/: write `import type`.",
      feature: "A feature never imports another feature ({{from}} -> {{to}}): compose them in app/, or move the shared part to model/ or ui/.",
    },
  },
  create(context) {
    const from = placeOf(context.filename);
    if (!from) return {};
    const check = (node) => {
      if (node.source?.type !== "Literal") return;
      const to = placeOf(resolve(String(node.source.value), context.filename));
      const fault = to && faultOf(from, to, typeOnly(node));
      if (fault) context.report({ node, ...fault });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
    };
  },
};

function faultOf(from, to, onlyTypes) {
  if (from.room !== to.room) {
    const may = ROOMS[from.room]?.[to.room];
    if (may === undefined) return { messageId: "room", data: { from: from.room, to: to.room } };
    if (Array.isArray(may) && !may.includes(to.part)) return { messageId: "room", data: { from: from.room, to: `${to.room}/${to.part}` } };
    if (may === "types" && !onlyTypes) return { messageId: "types", data: { from: from.room, to: to.room } };
    return null;
  }
  if (from.room === "features" && from.part !== to.part) {
    return { messageId: "feature", data: { from: from.part, to: to.part } };
  }
  return null;
}

function typeOnly(node) {
  if (node.importKind === "type" || node.exportKind === "type") return true;
  const named = node.specifiers ?? [];
  return named.length > 0 && named.every((one) => one.importKind === "type" || one.exportKind === "type");
}

function resolve(source, importer) {
  if (source.startsWith("@/")) return path.join(SRC, source.slice(2));
  if (source.startsWith(".")) return path.resolve(path.dirname(importer), source);
  return null;
}

/** The room of a file in src/ and the part of it (of features/, the feature); null for anything else. */
function placeOf(file) {
  const inside = file && path.relative(SRC, file);
  if (!inside || inside.startsWith("..") || path.isAbsolute(inside)) return null;
  const [room, part = ""] = inside.split(path.sep);
  return room in ROOMS ? { room, part: part.replace(/\.tsx?$/, "") } : null;
}

/** A JSON schema node, read defensively: it comes from user code. */
export type Schema = { [key: string]: unknown };

export const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);
export const schemaOf = (value: unknown): Schema => (isSchema(value) ? value : {});
export const schemasOf = (value: unknown): Schema[] => (Array.isArray(value) ? value.map(schemaOf) : []);
export const namesOf = (value: unknown): string[] => (Array.isArray(value) ? value.filter((one) => typeof one === "string") : []);

/** `schema` with its `$ref` resolved; keywords beside the `$ref` win. An unknown reference allows anything. */
export function resolved(schema: Schema, root: Schema): Schema {
  let found = schema;
  // A chain of references longer than this refers to itself.
  for (let hops = 0; typeof found.$ref === "string" && hops < 32; hops += 1) {
    const { $ref, ...beside } = found;
    found = { ...target($ref as string, root), ...beside };
  }
  return found;
}

function target(ref: string, root: Schema): Schema {
  if (!ref.startsWith("#")) return {};
  const steps = ref.slice(1).split("/").filter(Boolean).map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
  return schemaOf(steps.reduce<unknown>((node, step) => (node as Record<string, unknown> | undefined)?.[step], root));
}

/** The values that a schema allows by naming them. */
export function choicesOf(node: Schema): unknown[] {
  if (node.const !== undefined) return [node.const];
  return Array.isArray(node.enum) ? (node.enum as unknown[]) : (branchesOf(node) ?? []).flatMap(choicesOf);
}

/** The branches of a union; null if it isn't one. */
export function branchesOf(schema: Schema): Schema[] | null {
  if (Array.isArray(schema.oneOf)) return schemasOf(schema.oneOf);
  return Array.isArray(schema.anyOf) ? schemasOf(schema.anyOf) : null;
}

/** The property that tells the branches apart, if the schema names one. */
export function discriminatorOf(schema: Schema): string | null {
  const name = schemaOf(schema.discriminator).propertyName;
  return typeof name === "string" ? name : null;
}

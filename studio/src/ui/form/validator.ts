import type { ErrorSchema, RJSFSchema, RJSFValidationError, ValidatorType } from "@rjsf/utils";
import { toErrorSchema } from "@rjsf/utils";
import type { Schema } from "./schema";
import type { Fault } from "./validate";
import { faultsOf, isValid } from "./validate";

/**
 * rjsf's seam for validation without eval. `whole` is the schema as the server wrote it: it judges the whole value; the prepared
 * one (prepare.ts) only chooses branches.
 */
export function validatorFor(whole: Schema): ValidatorType {
  return {
    isValid: (schema, data, root) => isValid(withDefs(schema, root), data, "2019-09"),
    rawValidation: (_schema, data) => ({ errors: faultsOf(whole, data) as never[] }),
    validateFormData: (data, _schema, _custom, transform, uiSchema) => {
      const found = faultsOf(whole, data).map(errorOf);
      const errors = transform ? transform(found, uiSchema) : found;
      return { errors, errorSchema: toErrorSchema(errors) as ErrorSchema };
    },
  };
}

/** As rjsf writes errors: `.items[0].name`. */
export function errorOf({ path, keyword, message }: Fault): RJSFValidationError {
  const property = path.map((step) => (typeof step === "number" ? `[${String(step)}]` : /^[\w$]+$/.test(step) ? `.${step}` : `['${step}']`)).join("");
  return { name: keyword, property: property || ".", message, stack: message, params: { path } };
}

const merged = new WeakMap<object, WeakMap<object, Schema>>();

/** A part of a schema with the definitions that its references need; the same object for the same pair, as validators are kept by it. */
function withDefs(schema: RJSFSchema, root: RJSFSchema): Schema {
  if (schema === root || !root.$defs) return schema as Schema;
  let ofRoot = merged.get(root);
  if (!ofRoot) merged.set(root, (ofRoot = new WeakMap()));
  let found = ofRoot.get(schema);
  if (!found) ofRoot.set(schema, (found = { $defs: root.$defs as unknown, ...(schema as Schema) }));
  return found;
}

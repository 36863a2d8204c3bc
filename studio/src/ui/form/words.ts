/** Keywords of JSON schema and the sentence for each; `bound` is the limit that was missed. */
const SENTENCES: Record<string, (bound: string) => string> = {
  required: () => "This is required.",
  minLength: (bound) => (bound === "1" ? "This can't be empty." : `Write at least ${bound} characters.`),
  maxLength: (bound) => `Write at most ${bound} characters.`,
  minimum: (bound) => `This must be at least ${bound}.`,
  maximum: (bound) => `This must be at most ${bound}.`,
  exclusiveMinimum: (bound) => `This must be more than ${bound}.`,
  exclusiveMaximum: (bound) => `This must be less than ${bound}.`,
  multipleOf: (bound) => `This must be a multiple of ${bound}.`,
  minItems: (bound) => `Add at least ${bound}.`,
  maxItems: (bound) => `At most ${bound} can be given.`,
  uniqueItems: () => "Each entry may be given only once.",
  enum: () => "Choose one of the values.",
  const: () => "This must be the one allowed value.",
  anyOf: () => "This matches none of the allowed kinds.",
  oneOf: () => "This must match exactly one of the allowed kinds.",
  pattern: (bound) => `This must look like ${bound}.`,
  format: (bound) => `This isn't a valid ${FORMATS[bound] ?? bound}.`,
  type: (bound) => `This must be ${TYPES[bound] ?? bound}.`,
  false: () => "This field isn't known.",
};

const TYPES: Record<string, string> = {
  string: "text",
  number: "a number",
  integer: "a whole number",
  boolean: "yes or no",
  array: "a list",
  object: "an object",
  null: "null",
};

const FORMATS: Record<string, string> = {
  "date-time": "date with a time and a zone",
  date: "date",
  time: "time",
  email: "e-mail address",
  uri: "address (https://…)",
  uuid: "UUID",
  duration: "duration, like PT1H30M",
  ipv4: "IPv4 address",
  ipv6: "IPv6 address",
};

export function sentence(keyword: string, bound: unknown, otherwise: string): string {
  const limit = Array.isArray(bound) ? bound.map((one) => TYPES[String(one)] ?? String(one)).join(" or ") : String(bound);
  return SENTENCES[keyword]?.(limit) ?? otherwise;
}

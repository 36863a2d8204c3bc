import { lazy, Suspense } from "react";
import { code } from "./code";
import type { SchemaFormProps } from "./form/SchemaForm";
import { LoadingRows } from "./States";

const Loaded = lazy(code(() => import("./form/SchemaForm")));

export type { SchemaFormHandle, SchemaFormProps } from "./form/SchemaForm";

/** A form made from a JSON schema; its chunk loads when the first form is shown. */
export function SchemaForm(props: SchemaFormProps) {
  return (
    <Suspense fallback={<LoadingRows rows={4} label="Loading the form" />}>
      <Loaded {...props} />
    </Suspense>
  );
}

import type { Me } from "@/api/types";
import { Field, Input, Select } from "@/ui/fields";
import type { Faults, Options } from "./request";

interface OptionFieldsProps {
  options: Options;
  faults: Faults;
  me: Me | undefined;
  onChange: (options: Options) => void;
}

/** All options of a start besides its args; folded, because most starts need none of them. */
export function OptionFields({ options, faults, me, onChange }: OptionFieldsProps) {
  const set = (change: Partial<Options>) => { onChange({ ...options, ...change }); };
  const text = (name: "labels" | "key" | "priority" | "workspace" | "user", label: string, help: string) => (
    <Field label={label} help={help} error={faults[name]}>
      {(props) => <Input {...props} value={options[name]} autoComplete="off" onChange={(event) => { set({ [name]: event.target.value }); }} />}
    </Field>
  );
  return (
    // With an error inside it can't stay folded.
    <details key={String(Object.keys(faults).length > 0)} open={Object.keys(faults).length > 0 || undefined} className="rounded-md border px-3 py-1.5">
      <summary className="min-h-6 font-medium">Options</summary>
      <div className="grid gap-4 py-2 sm:grid-cols-2">
        <When options={options} faults={faults} set={set} />
        {text("labels", "Labels", "To find the run again, separated by commas: team:north, urgent")}
        {text("key", "Idempotency key", "A second start with the same key returns the first one's run.")}
        {text("priority", "Priority", "A whole number; higher ones are executed first. Empty: the workflow's.")}
        {text("workspace", "Workspace", "The id of an existing one; empty: the user's own.")}
        {me?.everybody && text("user", "For the user", "The run's user; empty: you.")}
      </div>
    </details>
  );
}

function When({ options, faults, set }: { options: Options; faults: Faults; set: (change: Partial<Options>) => void }) {
  return (
    <fieldset className="flex min-w-0 flex-col gap-1">
      <legend className="mb-1 font-medium">When</legend>
      <div className="flex flex-wrap gap-2">
        <Select aria-label="When it starts" className="w-auto" value={options.when} onChange={(event) => { set({ when: event.target.value as Options["when"] }); }}>
          <option value="now">Now</option>
          <option value="in">In</option>
          <option value="at">At</option>
        </Select>
        {options.when === "in" && (
          <>
            <Input aria-label="How long until it starts" aria-invalid={faults.amount ? true : undefined} inputMode="decimal" className="max-w-20" value={options.amount} onChange={(event) => { set({ amount: event.target.value }); }} />
            <Select aria-label="Unit" className="w-auto" value={options.unit} onChange={(event) => { set({ unit: event.target.value as Options["unit"] }); }}>
              {(["seconds", "minutes", "hours", "days"] as const).map((unit) => (
                <option key={unit}>{unit}</option>
              ))}
            </Select>
          </>
        )}
        {options.when === "at" && (
          <Input type="datetime-local" aria-label="Date and time, in your zone" aria-invalid={faults.at ? true : undefined} className="max-w-56" value={options.at} onChange={(event) => { set({ at: event.target.value }); }} />
        )}
      </div>
      {options.when === "at" && <p className="text-xs text-muted">In {Intl.DateTimeFormat().resolvedOptions().timeZone}</p>}
      {(faults.amount ?? faults.at) && <p className="text-xs text-failed">{faults.amount ?? faults.at}</p>}
    </fieldset>
  );
}

import type { ComponentProps, ReactNode } from "react";
import { useId } from "react";
import { cn } from "./cn";

/** The appearance of all inputs. */
export const inputClass = cn(
  "w-full min-w-0 rounded-sm border border-control bg-surface px-2 py-1 text-ink",
  "aria-invalid:border-failed disabled:bg-subtle disabled:text-muted",
);

export function Input({ className, ...rest }: ComponentProps<"input">) {
  return <input {...rest} className={cn(inputClass, "min-h-8 read-only:bg-subtle", className)} />;
}

export function TextArea({ className, ...rest }: ComponentProps<"textarea">) {
  return <textarea {...rest} className={cn(inputClass, "read-only:bg-subtle", className)} />;
}

/** The browser's own control: it works on a phone, with a keyboard, and with every screen reader. */
export function Select({ className, children, ...rest }: ComponentProps<"select">) {
  return (
    <select {...rest} className={cn(inputClass, "min-h-8", className)}>
      {children}
    </select>
  );
}

export function Checkbox({ label, className, ...rest }: ComponentProps<"input"> & { label: ReactNode }) {
  return (
    <label className={cn("inline-flex min-h-6 items-center gap-2", className)}>
      <input {...rest} type="checkbox" className="size-4 shrink-0 accent-accent" />
      {label}
    </label>
  );
}

export function Switch({ label, className, ...rest }: ComponentProps<"input"> & { label: ReactNode }) {
  return (
    <label className={cn("inline-flex min-h-6 items-center gap-2", className)}>
      <span className="relative inline-flex h-5 w-9 shrink-0">
        <input
          {...rest}
          type="checkbox"
          role="switch"
          className="peer size-full appearance-none rounded-full border border-control bg-subtle checked:border-accent checked:bg-accent disabled:opacity-60"
        />
        <span aria-hidden className="pointer-events-none absolute top-1 left-1 size-3 rounded-full bg-control transition-transform peer-checked:translate-x-4 peer-checked:bg-on-accent" />
      </span>
      {label}
    </label>
  );
}

export interface FieldProps {
  label: ReactNode;
  help?: ReactNode;
  error?: string | undefined;
  /** Renders the input, given the ids that connect it to its label and its messages. */
  children: (props: { id: string; "aria-describedby": string | undefined; "aria-invalid": true | undefined }) => ReactNode;
  className?: string;
}

/** A label, its input, and their messages. */
export function Field({ label, help, error, children, className }: FieldProps) {
  const id = useId();
  const said = [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div className={cn("flex min-w-0 flex-col gap-1", className)}>
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      {children({ id, "aria-describedby": said || undefined, "aria-invalid": error ? true : undefined })}
      {help && (
        <p id={`${id}-help`} className="text-xs text-muted">
          {help}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} className="text-xs text-failed">
          {error}
        </p>
      )}
    </div>
  );
}

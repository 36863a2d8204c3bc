import type { CSSProperties } from "react";
import { useEffect, useEffectEvent, useLayoutEffect, useRef, useState } from "react";
import { cn } from "../cn";
import { TextArea } from "../fields";
import type * as Codemirror from "./codemirror";
import type { Editor, Facts } from "./codemirror";

export interface CodeEditorProps {
  id: string;
  /** Its name, as in the label beside it. */
  label: string;
  value: string;
  onChange: (text: string) => void;
  language?: string | undefined;
  rows?: number;
  /** The position of an error in the text, as an offset. */
  fault?: number | null;
  invalid?: boolean | undefined;
  required?: boolean | undefined;
  /** Ids of the elements that describe it. */
  describedBy: string;
  disabled?: boolean | undefined;
  readOnly?: boolean | undefined;
  placeholder?: string | undefined;
  onFocus?: (() => void) | undefined;
  onBlur?: (() => void) | undefined;
  className?: string;
}

type Parts = typeof Codemirror;

let parts: Parts | null = null;

/** An editor for exact text. A plain field takes its place until the editor is loaded, or if it can't be; nothing typed is lost. */
export function CodeEditor(props: CodeEditorProps) {
  const { id, language, rows = 8, className } = props;
  const fixed = isFixed(props);
  const [ready, setReady] = useState(parts !== null);
  const plain = useRef<HTMLTextAreaElement>(null);
  const composing = useRef(false);
  const [taken, setTaken] = useState<readonly [number, number] | null>(null);
  const change = () => {
    const field = plain.current;
    if (parts === null || composing.current) return;
    if (field && field === document.activeElement) setTaken([field.selectionStart, field.selectionEnd]);
    setReady(true);
  };
  const changeNow = useEffectEvent(change);
  useEffect(() => {
    if (ready) return;
    let mounted = true;
    import("./codemirror").then(
      (loaded) => {
        parts = loaded;
        if (mounted) changeNow();
      },
      () => undefined, // it can't be loaded now: the plain field stays
    );
    return () => { mounted = false; };
  }, [ready]);
  return (
    <div className={cn("min-w-0 overflow-hidden rounded-sm border border-control bg-surface has-[.cm-content:focus]:outline-2 has-[.cm-content:focus]:outline-offset-2 has-[.cm-content:focus]:outline-accent", fixed && "[--surface:var(--subtle)]", props.invalid && "border-failed", className)}>
      {ready ? (
        <Loaded {...props} rows={rows} taken={taken} />
      ) : (
        <PlainField
          {...props}
          rows={rows}
          box={plain}
          onCompose={(is) => {
            composing.current = is;
            // Don't replace the field while an input method is composing text in it.
            if (!is) change();
          }}
        />
      )}
      <p id={`${id}__keys`} className="flex justify-between gap-2 border-t bg-subtle px-2 py-0.5 text-xs text-muted">
        <span>{language ?? "text"}</span>
        {fixed ? <span>read only</span> : <span className="pointer-coarse:sr-only">Tab indents; Escape, then Tab leaves</span>}
      </p>
    </div>
  );
}

const isFixed = ({ disabled, readOnly }: CodeEditorProps) => Boolean(disabled) || Boolean(readOnly);

function said({ describedBy, id }: CodeEditorProps): string {
  return `${describedBy} ${id}__keys`;
}

interface PlainProps extends CodeEditorProps {
  box: React.RefObject<HTMLTextAreaElement | null>;
  onCompose: (is: boolean) => void;
}

function PlainField(props: PlainProps) {
  const { id, label, value, onChange, rows, invalid, required, disabled, readOnly, placeholder, onFocus, onBlur, box, onCompose } = props;
  return (
    <TextArea
      ref={box}
      id={id}
      aria-label={label}
      rows={rows}
      spellCheck={false}
      autoCapitalize="off"
      autoComplete="off"
      wrap="off"
      className="block border-0 font-mono text-xs"
      disabled={disabled}
      readOnly={readOnly}
      placeholder={placeholder}
      aria-required={required || undefined}
      aria-invalid={invalid || undefined}
      aria-describedby={said(props)}
      value={value}
      onChange={(event) => { onChange(event.target.value); }}
      onFocus={onFocus}
      onBlur={onBlur}
      onCompositionStart={() => { onCompose(true); }}
      onCompositionEnd={() => { onCompose(false); }}
    />
  );
}

function Loaded({ taken, ...props }: CodeEditorProps & { taken: readonly [number, number] | null }) {
  const box = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const facts = factsOf(props);
  const changed = useEffectEvent(props.onChange);
  const focused = useEffectEvent((has: boolean) => { (has ? props.onFocus : props.onBlur)?.(); });
  const open = useEffectEvent((parent: HTMLElement) => {
    const made = parts?.editorIn(parent, facts, (text) => { changed(text); }, (has) => { focused(has); });
    if (made && taken) made.take(...taken);
    return made ?? null;
  });
  useLayoutEffect(() => {
    if (!box.current) return;
    const made = open(box.current);
    editor.current = made;
    return () => {
      editor.current = null;
      made?.destroy();
    };
  }, []);
  useLayoutEffect(() => { editor.current?.show(facts); });
  return <div ref={box} style={{ "--rows": props.rows } as CSSProperties} />;
}

function factsOf(props: CodeEditorProps): Facts {
  const { id, label, value, language, fault, invalid, required, disabled, placeholder } = props;
  return {
    text: value,
    language,
    fault: fault ?? null,
    fixed: isFixed(props),
    placeholder: placeholder ?? "",
    attributes: {
      id,
      "aria-label": label,
      "aria-describedby": said(props),
      autocapitalize: "off",
      ...(required ? { "aria-required": "true" } : {}),
      ...(invalid ? { "aria-invalid": "true" } : {}),
      ...(disabled ? { "aria-disabled": "true" } : {}),
    },
  };
}

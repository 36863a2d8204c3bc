import { useQuery } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { useRef, useState } from "react";
import { apiBase } from "@/api/client";
import { ApiError } from "@/api/problem";
import { meQuery } from "@/api/queries";
import type { Json, WorkflowDetail } from "@/api/types";
import { actOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { withoutSecrets } from "@/ui/form/secrets";
import type { SchemaFormHandle } from "@/ui/SchemaForm";
import { SchemaForm } from "@/ui/SchemaForm";
import { ErrorState } from "@/ui/States";
import { CopyMenu } from "./CopyMenu";
import { draftOf, dropDraft, keepDraft } from "./draft";
import { remember } from "./last";
import { OptionFields } from "./OptionFields";
import type { Faults, Options, Start } from "./request";
import { faultsOf, NO_OPTIONS, startOf } from "./request";
import { useStart } from "./useStart";

interface StartFormProps {
  workflow: WorkflowDetail;
  /** The source of `initial`: another source resets the form. */
  source: string;
  initial: Json | undefined;
}

export function StartForm({ workflow, source, initial }: StartFormProps) {
  const { app_name, name, title, args } = workflow;
  const me = useQuery(meQuery()).data;
  const router = useRouter();
  const handle = useRef<SchemaFormHandle>(null);
  const stay = useRef(false);
  const form = `${app_name} ${name} ${source}`;
  const [draft, setDraft] = useState(() => draftOf(form));
  // How often the form was reset.
  const [anew, setAnew] = useState(0);
  const [options, setOptions] = useState(draft?.options ?? NO_OPTIONS);
  const [faults, setFaults] = useState<Faults>({});
  const starting = useStart();
  const current = (): Start => startOf(workflow, args === null ? undefined : ((handle.current?.value() ?? null) as Json), options);
  const submit = (value: unknown) => {
    const found = faultsOf(options);
    setFaults(found);
    const another = stay.current;
    stay.current = false;
    if (Object.keys(found).length > 0 || starting.isPending || off) return;
    if (args !== null) remember(app_name, name, withoutSecrets(value, args) as Json);
    const start = startOf(workflow, args === null ? undefined : (value as Json), options);
    starting.mutate({ start, title, stay: another }, { onSuccess: () => { dropDraft(form); } });
  };
  const link = () => {
    const value = handle.current?.value();
    const search = value === undefined ? {} : { args: JSON.stringify(value) };
    return new URL(router.buildLocation({ to: "/workflows/$app/$name/start", params: { app: app_name, name }, search }).href, document.baseURI).href;
  };
  const off = actOff(me);
  const fields = starting.error instanceof ApiError ? starting.error.fields : NONE;
  const buttons = (
    <>
      <Button type="submit" variant="primary" icon={<Play size={14} aria-hidden />} pending={starting.isPending} off={off}>
        Start
      </Button>
      <Button type="submit" pending={starting.isPending} off={off} onClick={() => { stay.current = true; }}>
        Start and add another
      </Button>
      <CopyMenu start={current} api={new URL(apiBase(), document.baseURI).href} link={link} />
    </>
  );
  const setAndKeep = (next: Options) => {
    setOptions(next);
    keepDraft(form, { options: next });
  };
  const beginAnew = () => {
    dropDraft(form);
    setDraft(undefined);
    setOptions(NO_OPTIONS);
    setAnew(anew + 1);
  };
  const optionFields = <OptionFields options={options} faults={faults} me={me} onChange={setAndKeep} />;
  return (
    <div className="flex max-w-6xl flex-col gap-4">
      {starting.error && fields.length === 0 && <ErrorState title="The run wasn't started" error={starting.error} />}
      {draft && (
        <p className="flex flex-wrap items-center gap-2 text-muted">
          This is what you had typed before.
          <Button size="sm" onClick={beginAnew}>
            Start over
          </Button>
        </p>
      )}
      {args === null ? (
        <form
          className="flex flex-col gap-4"
          onSubmit={(event) => {
            event.preventDefault();
            submit(null);
          }}
        >
          <p className="text-muted">It takes no arguments.</p>
          {optionFields}
          <div className="flex flex-wrap gap-2">{buttons}</div>
        </form>
      ) : (
        <SchemaForm id={`start-${app_name}-${name}-${source}${anew === 0 ? "" : `-${String(anew)}`}`} handle={handle} schema={args} initial={draft?.args ?? initial} errors={fields} split onChange={(value) => { keepDraft(form, { args: withoutSecrets(value, args) as Json }); }} onSubmit={submit}>
          <div className="mb-2 w-full">{optionFields}</div>
          {buttons}
        </SchemaForm>
      )}
    </div>
  );
}

const NONE: ApiError["fields"] = [];

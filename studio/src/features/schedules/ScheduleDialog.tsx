import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { keys } from "@/api/keys";
import { createSchedule, updateSchedule } from "@/api/mutations";
import { workflowsQuery } from "@/api/queries";
import type { Me, ScheduleDetail } from "@/api/types";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Checkbox, Field, Input, Select, TextArea } from "@/ui/fields";
import { ErrorState } from "@/ui/States";
import { toast } from "@/ui/Toast";
import type { Draft, Span, Unit } from "./draft";
import { SECONDS, changeOf, draftOf, faultOf, partsOf, requestOf } from "./draft";

/** Makes a schedule at run time, or changes one. */
export function ScheduleDialog({ me, schedule, onClose }: { me: Me; schedule?: ScheduleDetail; onClose: () => void }) {
  const client = useQueryClient();
  const [before] = useState(() => draftOf(me, schedule));
  const [draft, setDraft] = useState(before);
  const set = (change: Partial<Draft>) => { setDraft({ ...draft, ...change }); };
  const save = useMutation({
    mutationFn: () => (schedule ? updateSchedule(schedule, changeOf(draft, before)) : createSchedule(requestOf(draft, me))),
    onSuccess: (saved) => {
      toast({ title: `${saved.name} has been ${schedule ? "changed" : "made"}`, tone: "done" });
      onClose();
    },
    onSettled: () => client.invalidateQueries({ queryKey: keys.schedules }),
  });
  const form = useId();
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button variant="primary" type="submit" form={form} pending={save.isPending} off={faultOf(draft)}>
        {schedule ? "Save" : "Make the schedule"}
      </Button>
    </>
  );
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={schedule ? `Edit ${schedule.name}` : "New schedule"}
      description="It starts a run of the workflow at each tick."
      footer={footer}
    >
      <form
        id={form}
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        {save.error && <ErrorState error={save.error} title={`The schedule wasn't ${schedule ? "changed" : "made"}`} />}
        {!schedule && <Name draft={draft} onChange={set} />}
        <Workflow draft={draft} onChange={set} changes={schedule !== undefined} />
        {!schedule && me.everybody && <User draft={draft} onChange={set} />}
        <Rule draft={draft} onChange={set} />
        <Field label="Args" help="As JSON; empty: none, or all defaults.">
          {(props) => <TextArea {...props} rows={4} className="font-mono" value={draft.args} onChange={(event) => { set({ args: event.target.value }); }} />}
        </Field>
        <Ticks draft={draft} onChange={set} />
        {!schedule && <Checkbox label="Paused: nothing fires until it is resumed" checked={draft.paused} onChange={(event) => { set({ paused: event.target.checked }); }} />}
      </form>
    </Dialog>
  );
}

interface PartProps {
  draft: Draft;
  onChange: (change: Partial<Draft>) => void;
}

function Name({ draft, onChange }: PartProps) {
  return (
    <Field label="Name">
      {(props) => <Input {...props} autoFocus required maxLength={200} value={draft.name} onChange={(event) => { onChange({ name: event.target.value }); }} />}
    </Field>
  );
}

function User({ draft, onChange }: PartProps) {
  return (
    <Field label="User" help="The user of the runs that it starts.">
      {(props) => <Input {...props} required value={draft.user} onChange={(event) => { onChange({ user: event.target.value }); }} />}
    </Field>
  );
}

/** A schedule that exists stays in its app; its workflow may be one that this server doesn't know. */
function Workflow({ draft, onChange, changes }: PartProps & { changes: boolean }) {
  const [app, name] = partsOf(draft);
  const all = useQuery(workflowsQuery()).data ?? [];
  const workflows = changes ? all.filter((one) => one.app_name === app) : all;
  const known = workflows.some((one) => one.app_name === app && one.name === name);
  return (
    <Field label="Workflow">
      {(props) => (
        <Select {...props} required value={draft.workflow} onChange={(event) => { onChange({ workflow: event.target.value }); }}>
          {!changes && <option value="">Choose one</option>}
          {changes && !known && <option value={draft.workflow}>{name}</option>}
          {workflows.map(({ app_name: of, name: one, title }) => (
            <option key={`${of}/${one}`} value={`${of}/${one}`}>
              {title} ({of})
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

function Ticks({ draft, onChange }: PartProps) {
  return (
    <>
      <Field label="While a run of it is going">
        {(props) => (
          <Select {...props} value={draft.overlap} onChange={(event) => { onChange({ overlap: event.target.value as Draft["overlap"] }); }}>
            <option value="skip">skip the tick</option>
            <option value="queue">let the tick wait</option>
            <option value="allow">fire all the same</option>
          </Select>
        )}
      </Field>
      <Field label="Missed ticks" help="Those that came while no worker was there.">
        {(props) => (
          <Select {...props} value={draft.misfire} onChange={(event) => { onChange({ misfire: event.target.value as Draft["misfire"] }); }}>
            <option value="latest">fire the latest</option>
            <option value="all">fire all of them</option>
            <option value="skip">leave them out</option>
          </Select>
        )}
      </Field>
      {draft.misfire !== "skip" && (
        <Duration label="Not older than" help="Ticks missed before that are left out." value={draft.catchUp} onChange={(catchUp) => { onChange({ catchUp }); }} />
      )}
      <Duration label="Spread over" help="Each tick fires at some moment within this time." value={draft.jitter} onChange={(jitter) => { onChange({ jitter }); }} />
    </>
  );
}

interface DurationProps {
  label: string;
  help: string;
  value: Span;
  required?: boolean;
  onChange: (value: Span) => void;
}

function Duration({ label, help, value, required, onChange }: DurationProps) {
  return (
    <div className="grid grid-cols-2 gap-3">
      <Field label={label} help={help}>
        {(props) => <Input {...props} type="number" min={0} step="any" required={required} value={value.count} onChange={(event) => { onChange({ ...value, count: event.target.value }); }} />}
      </Field>
      <Field label="Unit">
        {(props) => (
          <Select {...props} aria-label={`${label}: unit`} value={value.unit} onChange={(event) => { onChange({ ...value, unit: event.target.value as Unit }); }}>
            {Object.keys(SECONDS).map((unit) => (
              <option key={unit}>{unit}</option>
            ))}
          </Select>
        )}
      </Field>
    </div>
  );
}

function Rule({ draft, onChange }: PartProps) {
  return (
    <>
      <Field label="Ticks">
        {(props) => (
          <Select {...props} value={draft.kind} onChange={(event) => { onChange({ kind: event.target.value as Draft["kind"] }); }}>
            <option value="cron">by a cron expression</option>
            <option value="every">at an interval</option>
            <option value="at">once</option>
          </Select>
        )}
      </Field>
      {draft.kind === "cron" && (
        <div className="grid grid-cols-2 gap-3">
          <Field label="Cron expression" help="Minute, hour, day, month, day of week.">
            {(props) => <Input {...props} required className="font-mono" value={draft.cron} onChange={(event) => { onChange({ cron: event.target.value }); }} />}
          </Field>
          <Field label="Time zone" help="Such as Europe/Berlin.">
            {(props) => <Input {...props} value={draft.timezone} onChange={(event) => { onChange({ timezone: event.target.value }); }} />}
          </Field>
        </div>
      )}
      {draft.kind === "every" && <Duration label="Every" help="Counted from now." required value={draft.every} onChange={(every) => { onChange({ every }); }} />}
      {draft.kind === "at" && (
        <Field label="Time" help="In the time zone of this computer.">
          {(props) => <Input {...props} type="datetime-local" required value={draft.at} onChange={(event) => { onChange({ at: event.target.value }); }} />}
        </Field>
      )}
    </>
  );
}

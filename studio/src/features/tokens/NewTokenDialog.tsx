import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { keys } from "@/api/keys";
import { createToken } from "@/api/mutations";
import { ApiError } from "@/api/problem";
import { appsQuery } from "@/api/queries";
import type { CreatedToken, Me, Role } from "@/api/types";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Checkbox, Field, Input, Select } from "@/ui/fields";
import { ErrorState } from "@/ui/States";
import { Created } from "./Created";
import type { Draft } from "./draft";
import { draftFor, expiriesFor, faultOf, requestOf, ROLES } from "./draft";

/** Asks for the rights of the token, then shows it once. */
export function NewTokenDialog({ me, onClose }: { me: Me; onClose: () => void }) {
  const client = useQueryClient();
  const [draft, setDraft] = useState<Draft>(() => draftFor(me, Date.now()));
  const [created, setCreated] = useState<CreatedToken | null>(null);
  const create = useMutation({
    mutationFn: () => createToken(requestOf(draft, Date.now())),
    onSuccess: setCreated,
    onSettled: () => client.invalidateQueries({ queryKey: keys.tokens }),
  });
  const [expiries] = useState(() => expiriesFor(me, Date.now()));
  const form = useId();
  if (created) return <Created token={created} onClose={onClose} />;
  const set = (change: Partial<Draft>) => { setDraft({ ...draft, ...change }); };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button variant="primary" type="submit" form={form} pending={create.isPending} off={faultOf(draft)}>
        Create token
      </Button>
    </>
  );
  return (
    <Dialog open onOpenChange={onClose} title="New token" description="It can do no more than you can." footer={footer}>
      <form
        id={form}
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        {create.error && <ErrorState error={create.error} title="The token wasn't created" />}
        <Field label="Name" help="The program that uses it, so that you know later what to revoke." error={faultIn(create.error, "name")}>
          {(props) => <Input {...props} autoFocus required maxLength={200} value={draft.name} onChange={(event) => { set({ name: event.target.value }); }} />}
        </Field>
        {me.role === "admin" && (
          <Field label="User" help="The user whose runs it sees and starts." error={faultIn(create.error, "user_id")}>
            {(props) => <Input {...props} required value={draft.user_id} onChange={(event) => { set({ user_id: event.target.value }); }} />}
          </Field>
        )}
        <Field label="Role" help={ROLES[draft.role]} error={faultIn(create.error, "role")}>
          {(props) => (
            <Select {...props} value={draft.role} onChange={(event) => { set({ role: event.target.value as Role }); }}>
              {rolesUpTo(me.role).map((role) => (
                <option key={role}>{role}</option>
              ))}
            </Select>
          )}
        </Field>
        {me.everybody && (
          <Checkbox
            label="All users' runs, not only this user's"
            checked={draft.everybody || draft.role === "admin"}
            disabled={draft.role === "admin"}
            onChange={(event) => { set({ everybody: event.target.checked }); }}
          />
        )}
        <Apps me={me} draft={draft} onChange={set} />
        <Field label="Expires" error={faultIn(create.error, "expires_at")}>
          {(props) => (
            <Select {...props} value={draft.days} onChange={(event) => { set({ days: Number(event.target.value) }); }}>
              {expiries.map(({ days, label }) => (
                <option key={days} value={days}>
                  {label}
                </option>
              ))}
            </Select>
          )}
        </Field>
      </form>
    </Dialog>
  );
}

const rolesUpTo = (role: Role): Role[] => (["viewer", "operator", "admin"] as const).slice(0, { viewer: 1, operator: 2, admin: 3 }[role]);

function faultIn(error: unknown, field: string): string | undefined {
  return error instanceof ApiError ? error.fields.find((one) => one.loc.includes(field))?.msg : undefined;
}

function Apps({ me, draft, onChange }: { me: Me; draft: Draft; onChange: (change: Partial<Draft>) => void }) {
  const known = useQuery(appsQuery()).data?.map((app) => app.name) ?? me.apps ?? [];
  if (known.length < 2 && me.apps === null) return null;
  const toggled = (app: string) => (draft.apps.includes(app) ? draft.apps.filter((one) => one !== app) : [...draft.apps, app]);
  return (
    <fieldset className="rounded-sm border px-3 pb-2">
      <legend className="px-1 font-medium">Apps</legend>
      <p className="mb-1 text-xs text-muted">{me.apps === null ? "None chosen: all apps." : "Those that you may use."}</p>
      {known.map((app) => (
        <Checkbox key={app} className="mr-4" label={app} checked={draft.apps.includes(app)} onChange={() => { onChange({ apps: toggled(app) }); }} />
      ))}
    </fieldset>
  );
}

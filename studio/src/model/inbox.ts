/** The questions of the inbox: one item for each run that asks, and who may answer it. */
import type { Ask, Me, Question, WorkflowDetail } from "@/api/types";
import { type Millis, moment } from "./time";

export interface Item {
  workflowId: string;
  visit: number;
  /** All that the run asks at its place, the most urgent first. */
  questions: readonly [Question, ...Question[]];
}

type Who = Pick<Me, "user_id" | "everybody" | "groups" | "role">;
type Asked = Pick<Question, "assignee" | "group" | "user_id">;

/** In the order of the inbox: an item is where its most urgent question is. */
export function itemsOf(questions: readonly Question[]): Item[] {
  const found = new Map<string, Item>();
  for (const one of questions) {
    const known = found.get(one.workflow_id);
    if (known && known.visit === one.visit) found.set(one.workflow_id, { ...known, questions: [...known.questions, one] });
    else if (!known) found.set(one.workflow_id, { workflowId: one.workflow_id, visit: one.visit, questions: [one] });
  }
  return [...found.values()];
}

/** "Approve an expense", "Decide or hold". */
export function titleOf({ questions }: Item): string {
  return [...new Set(questions.map((one) => one.title))].map((title, at) => (at === 0 ? title : title.charAt(0).toLowerCase() + title.slice(1))).join(" or ");
}

/** Who is asked: "ann", "the group finance"; null where it is the run's user. */
export function askedOf({ assignee, group }: Pick<Asked, "assignee" | "group">): string | null {
  const team = group === null ? null : `the group ${group}`;
  return assignee !== null && team !== null ? `${assignee} or ${team}` : (assignee ?? team);
}

/** "for you", "for ann or the group finance", "for the run's user ada". */
export function forWhom(asked: Asked, me: Who): string {
  if (asked.assignee === me.user_id) return "for you";
  return `for ${askedOf(asked) ?? (asked.user_id === me.user_id ? "you, whose run it is" : `the run's user ${asked.user_id}`)}`;
}

export function isOverdue({ due_at }: Pick<Question, "due_at">, now: Millis): boolean {
  return due_at !== null && moment(due_at) < now;
}

/** True if the run, its documents and its history are open to this person. */
export function mayOpen({ user_id }: Pick<Asked, "user_id">, me: Who): boolean {
  return me.everybody || user_id === me.user_id;
}

/** Why this person may not answer; null if they may. */
export function answerOff(asked: Asked, me: Who): string | null {
  const { assignee, group, user_id } = asked;
  if (assignee === me.user_id || (group !== null && me.groups.includes(group))) return null;
  const whom = askedOf(asked);
  if (whom !== null) return `It is asked of ${whom}. Assign it to yourself to answer it.`;
  return me.everybody || user_id === me.user_id ? null : "It is asked of the run's user.";
}

/** True if nobody is named, and the run is another user's: then an answer is a signal by who sees all runs. */
export function isSignal(asked: Asked, me: Who): boolean {
  return askedOf(asked) === null && asked.user_id !== me.user_id;
}

/** The questions as what can be answered, for the controls of an answer. */
export function asksOf(questions: readonly Question[]): Ask[] {
  return questions.map((one) => ({ transition: one.transition, title: one.title, description: "", optional: false, schema: one.payload_schema, source: "", target: "" }));
}

/** The place at which the question is asked, by the definition: which controls are enabled depends on it. */
export function placeOf({ transition }: Pick<Question, "transition">, definition: Pick<WorkflowDetail, "transitions"> | undefined): string {
  return definition?.transitions.find((one) => one.name === transition)?.source ?? "";
}

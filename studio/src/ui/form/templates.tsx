import type { ArrayFieldItemTemplateProps, ArrayFieldTemplateProps, ObjectFieldTemplateProps, ObjectFieldTemplatePropertyType } from "@rjsf/utils";
import { canExpand, descriptionId, titleId } from "@rjsf/utils";
import { ArrowDown, ArrowUp, Plus, X } from "lucide-react";
import type { ReactNode } from "react";
import { Button, IconButton } from "../Button";
import type { Schema } from "./schema";
import { namesOf, schemasOf } from "./schema";

const NESTED = "min-w-0 rounded-md border px-3 pt-1 pb-3";

/** An object: its fields in their groups. The root has no frame. */
export function ObjectFieldTemplate(props: ObjectFieldTemplateProps) {
  const { title, description, properties, fieldPathId, schema, uiSchema, formData, disabled, readonly, onAddProperty, optionalDataControl } = props;
  const root = fieldPathId.path.length === 0;
  const id = fieldPathId.$id;
  const fields = (
    <div className="flex flex-col gap-4">
      <Groups schema={schema as Schema} properties={properties} wrong={Object.keys(props.errorSchema ?? {})} />
      {optionalDataControl}
      {canExpand(schema, uiSchema, formData) && (
        <div>
          <Button size="sm" icon={<Plus size={14} aria-hidden />} off={(disabled || readonly) && "It can't be changed now"} onClick={onAddProperty}>
            Add an entry{root ? "" : ` to ${title}`}
          </Button>
        </div>
      )}
    </div>
  );
  if (root) return fields;
  return (
    <fieldset id={id} tabIndex={-1} aria-describedby={descriptionId(id)} className={NESTED}>
      <legend id={titleId(id)} className="px-1 font-medium">
        {title}
      </legend>
      <p id={descriptionId(id)} className="mb-2 text-xs text-muted empty:hidden">
        {description}
      </p>
      {fields}
    </fieldset>
  );
}

interface GroupOf {
  title: string;
  description: string;
  collapsed: boolean;
  names: string[];
}

function groupsOf(schema: Schema): GroupOf[] {
  return schemasOf(schema["x-groups"]).map((group) => ({
    title: typeof group.title === "string" ? group.title : "",
    description: typeof group.description === "string" ? group.description : "",
    collapsed: group.collapsed === true,
    names: namesOf(group.fields),
  }));
}

/** Fields in no group come first. A folded group opens if something in it is wrong. */
function Groups({ schema, properties, wrong }: { schema: Schema; properties: ObjectFieldTemplatePropertyType[]; wrong: string[] }) {
  const groups = groupsOf(schema);
  const grouped = new Set(groups.flatMap((group) => group.names));
  const shown = (names: (name: string) => boolean) => properties.filter((property) => names(property.name)).map((property) => <div key={property.name} className={property.hidden ? "hidden" : undefined}>{property.content}</div>);
  return (
    <>
      {shown((name) => !grouped.has(name))}
      {groups.map((group) => (
        <Group key={group.title} group={group} wrong={group.names.some((name) => wrong.includes(name))}>
          {group.names.flatMap((name) => shown((one) => one === name))}
        </Group>
      ))}
    </>
  );
}

function Group({ group, wrong, children }: { group: GroupOf; wrong: boolean; children: ReactNode }) {
  const inside = (
    <div className="flex flex-col gap-4 pt-2">
      {group.description && <p className="text-xs text-muted">{group.description}</p>}
      {children}
    </div>
  );
  if (!group.collapsed) {
    return (
      <fieldset className={NESTED}>
        <legend className="px-1 font-medium">{group.title}</legend>
        {inside}
      </fieldset>
    );
  }
  return (
    // Another key opens it anew once something inside is wrong.
    <details key={String(wrong)} open={wrong || undefined} className="rounded-md border px-3 py-1.5">
      <summary className="min-h-6 font-medium">{group.title}</summary>
      {inside}
    </details>
  );
}

export function ArrayFieldTemplate(props: ArrayFieldTemplateProps) {
  const { title, items, canAdd, onAddClick, fieldPathId, schema, disabled, readonly, optionalDataControl } = props;
  const id = fieldPathId.$id;
  return (
    <fieldset id={id} tabIndex={-1} aria-describedby={descriptionId(id)} className={NESTED}>
      <legend className="px-1 font-medium">{title}</legend>
      <p id={descriptionId(id)} className="mb-2 text-xs text-muted empty:hidden">
        {schema.description}
      </p>
      <ol className="flex flex-col gap-2">{items}</ol>
      {items.length === 0 && <p className="text-muted">Empty list.</p>}
      {optionalDataControl}
      {canAdd && (
        <Button
          id={`${id}__add`}
          size="sm"
          className="mt-2"
          icon={<Plus size={14} aria-hidden />}
          off={(disabled || readonly) && "It can't be changed now"}
          onClick={onAddClick}
        >
          Add to {title}
        </Button>
      )}
    </fieldset>
  );
}

export function ArrayFieldItemTemplate({ children, buttonsProps, hasToolbar, index, totalItems }: ArrayFieldItemTemplateProps) {
  const { hasMoveUp, hasMoveDown, hasRemove, onMoveUpItem, onMoveDownItem, onRemoveItem, disabled, readonly, fieldPathId } = buttonsProps;
  const fixed = disabled || readonly;
  const name = `item ${String(index + 1)} of ${String(totalItems)}`;
  const listId = fieldPathId.$id.replace(/_\d+$/, "");
  const remove = (event: unknown) => {
    onRemoveItem(event);
    // The focused element is gone: focus the list's button instead.
    requestAnimationFrame(() => document.getElementById(`${listId}__add`)?.focus());
  };
  return (
    <li className="flex items-start gap-2">
      <span aria-hidden className="min-w-5 pt-1.5 text-right text-xs text-muted">
        {index + 1}
      </span>
      <div className="min-w-0 grow">{children}</div>
      {hasToolbar && !fixed && (
        <div className="flex pt-1">
          {hasMoveUp && (
            <IconButton size="sm" label={`Move ${name} up`} onClick={onMoveUpItem}>
              <ArrowUp size={14} aria-hidden />
            </IconButton>
          )}
          {hasMoveDown && (
            <IconButton size="sm" label={`Move ${name} down`} onClick={onMoveDownItem}>
              <ArrowDown size={14} aria-hidden />
            </IconButton>
          )}
          {hasRemove && (
            <IconButton size="sm" label={`Remove ${name}`} onClick={remove}>
              <X size={14} aria-hidden />
            </IconButton>
          )}
        </div>
      )}
    </li>
  );
}

import { Link } from "@tanstack/react-router";
import { buttonClass } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { EmptyState } from "@/ui/States";

export function NotFound() {
  return (
    <>
      <PageHeader title="Page not found" />
      <EmptyState
        title="There is no such page in Studio"
        action={
          <Link to="/" className={buttonClass()}>
            Home
          </Link>
        }
      >
        The address may be incomplete, or belong to another version.
      </EmptyState>
    </>
  );
}

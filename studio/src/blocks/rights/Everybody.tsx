import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { LockKeyhole } from "lucide-react";
import type { ReactNode } from "react";
import { meQuery } from "@/api/queries";
import { everybodyOff } from "@/model/rights";
import { buttonClass } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { EmptyState } from "@/ui/States";

/** A page about all users' runs: users who see only their own get the reason why it is closed, and the API isn't called. */
export function Everybody({ title, what, children }: { title: string; what: string; children: ReactNode }) {
  const off = everybodyOff(useQuery(meQuery()).data, what);
  if (off === null) return children;
  return (
    <>
      <PageHeader title={title} />
      <EmptyState
        title="You have no access to this page"
        icon={<LockKeyhole size={28} strokeWidth={1.5} aria-hidden />}
        action={
          <Link to="/runs" className={buttonClass()}>
            Your runs
          </Link>
        }
      >
        {off}
      </EmptyState>
    </>
  );
}

import { Link, Outlet } from "@tanstack/react-router";

export function Shell() {
  return (
    <>
      <nav aria-label="Studio">
        <Link to="/">Home</Link> <Link to="/runs">Runs</Link>
      </nav>
      <main>
        <Outlet />
      </main>
    </>
  );
}

import { Link } from "@tanstack/react-router";

export function NotFound() {
  return (
    <>
      <h1>Page not found</h1>
      <Link to="/">Home</Link>
    </>
  );
}

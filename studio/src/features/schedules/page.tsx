/** Placeholder: the feature replaces this file. */
export default function Page() {
  return <h1>Schedules</h1>;
}

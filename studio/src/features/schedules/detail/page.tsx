/** Placeholder: the feature replaces this file. */
export default function Page() {
  return <h1>Schedule</h1>;
}

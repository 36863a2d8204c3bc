/** The title of the browser's tab: what waits for the reader, the page, and whose page it is. */
let page = "";
let waiting = "";

function write() {
  document.title = `${waiting && `(${waiting}) `}${page && `${page} · `}Stepwell`;
}

export function setPageTitle(name: string): void {
  page = name;
  write();
}

/** "3", "50+"; empty: nothing waits. */
export function setWaitingTitle(count: string): void {
  waiting = count;
  write();
}

/** The title of the browser's tab: the number of open questions, the page, and the product. */
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

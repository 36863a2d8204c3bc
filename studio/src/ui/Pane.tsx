import type { ReactNode } from "react";
import { Component } from "react";
import { CodeMissing, reloadIfServed } from "./code";
import { ErrorState } from "./States";

interface PaneProps {
  children: ReactNode;
  /** The id of what is shown: another value resets the error. */
  resetKey?: string | number | undefined;
  /** What can't be shown: "The graph". */
  name?: string | undefined;
}

/** Contains the errors of its children: one broken document doesn't break the page. */
export class Pane extends Component<PaneProps, { error: unknown; resetKey: PaneProps["resetKey"] }> {
  override state = { error: null as unknown, resetKey: this.props.resetKey };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  static getDerivedStateFromProps(props: PaneProps, state: { error: unknown; resetKey: PaneProps["resetKey"] }) {
    return props.resetKey === state.resetKey ? null : { error: null, resetKey: props.resetKey };
  }

  override componentDidCatch(error: unknown) {
    console.error(error);
  }

  #retry() {
    if (this.state.error instanceof CodeMissing) void reloadIfServed();
    else this.setState({ error: null });
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <ErrorState
        error={this.state.error}
        title={this.props.name && `${this.props.name} can't be shown`}
        onRetry={() => { this.#retry(); }}
      />
    );
  }
}

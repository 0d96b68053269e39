import type { Exposition } from './exposition.ts';

/** Figures about one thing. To show another figure, add a line to its section. */
export interface Section {
  /** As in `part="…"`. */
  readonly part: string;
  /** Undefined for what this process knows at any time. Otherwise resolves to whether there is something to write. */
  readonly read?: () => Promise<boolean>;
  write(out: Exposition): void | Promise<void>;
  /** Ends what it measures. */
  readonly close?: () => void;
}

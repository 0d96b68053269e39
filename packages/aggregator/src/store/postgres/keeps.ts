/**
 * 1, or an error in its place that undoes the statement, where the server has been told meanwhile to lose what it confirms in a
 * crash: these settings change with a reload, under sessions that were checked when they began. Every statement that commits
 * what will be acknowledged has it.
 */
export const KEEPS = `1 / (current_setting('chronicleweaver.may_lose') = 'on'
  OR (current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on'))::int`;

/** A setting of our own, of each session. */
export const MAY_LOSE = "SET chronicleweaver.may_lose = 'on'";
export const MUST_KEEP = "SET chronicleweaver.may_lose = 'off'";

/** What that error is: nothing else divides here. */
export const DIVISION_BY_ZERO = '22012';

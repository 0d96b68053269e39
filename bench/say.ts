/** Says on standard error what is going on. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

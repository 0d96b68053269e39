/** Ends a program with an exit code; where there is a message, it is told in one line on standard error. */
export class Stopped extends Error {
  override name = 'Stopped';
  readonly exitCode: number;

  constructor(exitCode: number, message = '') {
    super(message);
    this.exitCode = exitCode;
  }
}

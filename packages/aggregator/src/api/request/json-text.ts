import { type FieldError, LIMITS } from '@chronicleweaver/protocol';
import { JsonScanner, JsonSyntaxError, TooDeep, shortened } from '../../event/json-scanner.ts';
import { ProblemError, invalidFields } from './problems.ts';

/**
 * The value of a JSON text, which must be valid UTF-8; the call consumes it. Throws a ProblemError in the words of a publish:
 * `invalid_json` says what was expected, and at which byte; `invalid_parameter` names each member that appears twice, since
 * readers would disagree on its value, or contains half a character.
 */
export function readJson(body: Buffer): unknown {
  return new JsonText().parse(body);
}

class JsonText extends JsonScanner {
  /** The names of the members around the value that is being read. */
  readonly #path: string[] = [];
  readonly #errors: FieldError[] = [];

  constructor() {
    super(LIMITS.payloadDepthMax);
  }

  parse(body: Buffer): unknown {
    this.begin(body);
    try {
      this.value(0);
      if (this.peek() !== -1) throw this.unexpected('the end of the body');
    } catch (error) {
      if (error instanceof JsonSyntaxError) throw new ProblemError('invalid_json', error.message);
      if (!(error instanceof TooDeep)) throw error;
      this.#refuse(this.#path[0] ?? null, `is nested more than ${LIMITS.payloadDepthMax} deep`);
    }
    if (this.#errors.length > 0) throw invalidFields(this.#errors);
    return JSON.parse(this.bytes.toString('utf8', 0, this.write)) as unknown;
  }

  protected override member(depth: number, nameStart: number, nameEnd: number): void {
    this.#path.push(this.decoded(nameStart, nameEnd));
    super.member(depth, nameStart, nameEnd);
    if (this.fault !== null) this.#refuse(this.#path.join('.'), this.fault);
    this.fault = null;
    this.#path.pop();
  }

  protected override noteNameTwice(start: number, end: number): void {
    this.#refuse([...this.#path, this.decoded(start, end)].join('.'), 'appears twice');
  }

  #refuse(field: string | null, message: string): void {
    const shown = field === null ? null : shortened(field);
    if (this.#errors.length < LIMITS.problemErrorsMax)
      this.#errors.push({ index: null, field: shown, message });
  }
}

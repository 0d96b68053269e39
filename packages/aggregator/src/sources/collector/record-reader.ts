import { type FieldError, LIMITS } from '@chronicleweaver/protocol';
import {
  CLOSE_BRACKET,
  COMMA,
  JsonScanner,
  JsonSyntaxError,
  OPEN_BRACE,
  OPEN_BRACKET,
  TooDeep,
} from '../../event/json-scanner.ts';
import { grown } from '../../event/open-names.ts';
import type { FieldNode, FieldPlaces } from './field-places.ts';

/** The outcome of reading a collector's body. Nothing is kept unless every record is good. */
export type ReadRecords =
  | { kind: 'read'; records: Records }
  | { kind: 'not_json'; message: string }
  | { kind: 'too_many' }
  | { kind: 'invalid'; errors: FieldError[]; errorsFound: number };

export interface Wanted {
  /** The fields whose values are asked for. */
  readonly places: FieldPlaces;
  /** The member of each outermost object that holds its records; null if these objects are records themselves. */
  readonly wrapper: string | null;
}

/**
 * Reads records as collectors send them: any number of JSON values one after the other, each an object, which is a record, or an
 * array of records. So a body may be one record, an array, lines (NDJSON), or objects with nothing in between. An object whose
 * only member is `logs`, an array, stands for the records in it.
 *
 * The body must be valid UTF-8. The call consumes it, and the records are views into it.
 */
export function readRecords(body: Buffer, wanted: Wanted): ReadRecords {
  return new RecordReader(wanted).readBody(body);
}

/** Records as texts, and the fields that are wanted of them. All are JSON without whitespace between tokens. */
export class Records {
  readonly count: number;
  readonly #bytes: Buffer;
  readonly #spans: Int32Array;
  readonly #rowLength: number;

  /** @param spans a row for each record: beginning and end of its text, then of each field; an end of 0 means none */
  constructor(count: number, bytes: Buffer, spans: Int32Array, rowLength: number) {
    this.count = count;
    this.#bytes = bytes;
    this.#spans = spans;
    this.#rowLength = rowLength;
  }

  textOf(index: number): string {
    const at = index * this.#rowLength;
    return this.#bytes.toString('utf8', this.#spans[at], this.#spans[at + 1]);
  }

  /** The value of a field; undefined if the record lacks it. */
  fieldOf(index: number, place: number): string | undefined {
    const at = index * this.#rowLength + 2 * (place + 1);
    const end = this.#spans[at + 1]!;
    return end === 0 ? undefined : this.#bytes.toString('utf8', this.#spans[at], end);
  }
}

/** How deep a record may nest, counting itself: a payload's depth without what may be around the record in it and in its body. */
const RECORD_DEPTH_MAX = LIMITS.payloadDepthMax - 3;

/** Objects and arrays around a record in a wrapper. */
const AROUND_RECORD = 2;

/** The only member of an object that is no record itself: npm's pino-http-send sends such, and others can be told to. */
const LOGS = 'logs';

/** In: bytes. Out: a row of spans for each record. `#node` says what is wanted of the members of the object that is being read. */
class RecordReader extends JsonScanner {
  readonly #root: FieldNode;
  readonly #wrapper: string | null;
  readonly #rowLength: number;
  #spans: Int32Array<ArrayBuffer>;
  #count = 0;
  #node: FieldNode | null = null;
  /** Where the row of the record that is being read begins. */
  #row = 0;
  /** How many members of an outermost object have been read. */
  #outerMembers = 0;
  /** Whether one of them held records. */
  #hasList = false;
  #errors: FieldError[] = [];
  #errorsFound = 0;

  constructor({ places, wrapper }: Wanted) {
    super(RECORD_DEPTH_MAX + AROUND_RECORD);
    this.#root = places.root;
    this.#wrapper = wrapper;
    this.#rowLength = 2 * (places.count + 1);
    this.#spans = new Int32Array(this.#rowLength * 16);
  }

  readBody(body: Buffer): ReadRecords {
    this.begin(body);
    try {
      if (this.peek() === -1) throw new JsonSyntaxError('the body is empty');
      do this.#outermost();
      while (this.peek() !== -1);
      if (this.#count > LIMITS.batchEventsMax) throw new TooManyRecords();
    } catch (error) {
      if (error instanceof TooManyRecords) return { kind: 'too_many' };
      if (error instanceof JsonSyntaxError) return { kind: 'not_json', message: error.message };
      if (!(error instanceof TooDeep)) throw error;
      this.#error(
        this.#count === 0 ? null : this.#count - 1,
        null,
        `is nested more than ${RECORD_DEPTH_MAX} deep`,
      );
    }
    if (this.#errorsFound > 0) {
      return { kind: 'invalid', errors: this.#errors, errorsFound: this.#errorsFound };
    }
    const bytes = body.subarray(0, this.write);
    return { kind: 'read', records: new Records(this.#count, bytes, this.#spans, this.#rowLength) };
  }

  #outermost(): void {
    if (this.peek() === OPEN_BRACKET) this.#list();
    else if (this.peek() !== OPEN_BRACE) this.#noRecord();
    else if (this.#wrapper === null) this.#recordOrLogs();
    else this.#wrapped();
  }

  #list(): void {
    this.keep(OPEN_BRACKET);
    if (this.peek() !== CLOSE_BRACKET) {
      for (;;) {
        if (this.peek() === OPEN_BRACE) this.#record(AROUND_RECORD + 1);
        else this.#noRecord();
        if (this.peek() !== COMMA) break;
        this.keep(COMMA);
      }
    }
    if (this.peek() !== CLOSE_BRACKET) throw this.unexpected('"," or "]"');
    this.keep(CLOSE_BRACKET);
  }

  #record(depth: number): void {
    // One more than that may turn out to be none.
    if (this.#count > LIMITS.batchEventsMax) throw new TooManyRecords();
    const [outerNode, outerRow, outerFault] = [this.#node, this.#row, this.fault];
    const row = this.#count * this.#rowLength;
    while (row + this.#rowLength > this.#spans.length) this.#spans = grown(this.#spans);
    // It may have been the row of a record that turned out to be none.
    this.#spans.fill(0, row, row + this.#rowLength);
    this.#row = row;
    this.#node = this.#root;
    this.#count += 1;
    this.fault = null;
    const start = this.write;
    this.object(depth);
    if (this.fault !== null) this.#error(row / this.#rowLength, null, this.fault);
    this.#spans[row] = start;
    this.#spans[row + 1] = this.write;
    this.#node = outerNode;
    this.#row = outerRow;
    this.fault = outerFault;
  }

  /** Reads an object as a record. If `logs` turns out to be all that it has, the records in there have rows behind its own. */
  #recordOrLogs(): void {
    const index = this.#count;
    this.#outerMembers = 0;
    this.#hasList = false;
    this.#record(OUTERMOST);
    if (!this.#hasList) return;
    if (this.#outerMembers > 1) {
      this.#count = index + 1;
      return;
    }
    this.#spans.copyWithin(
      index * this.#rowLength,
      (index + 1) * this.#rowLength,
      this.#count * this.#rowLength,
    );
    this.#count -= 1;
  }

  /** Reads an object of which only the records in its wrapper count. */
  #wrapped(): void {
    this.#hasList = false;
    this.fault = null;
    this.object(OUTERMOST);
    if (this.fault !== null) this.#error(null, null, this.fault);
    if (!this.#hasList) this.#error(null, this.#wrapper, 'expected an array here, which holds the records');
  }

  protected override member(depth: number, nameStart: number, nameEnd: number): void {
    const around = this.#node;
    const isOutermost = depth === OUTERMOST;
    let node: FieldNode | null = null;
    let holdsRecords = false;
    if (isOutermost || (around !== null && around.members.size > 0)) {
      const name = this.lastString(nameStart, nameEnd);
      node = around?.members.get(name) ?? null;
      if (isOutermost) holdsRecords = this.#holdsRecords(name);
    }
    const start = this.write;
    this.#node = node;
    if (holdsRecords) this.#list();
    else this.value(depth);
    this.#node = around;
    if (node === null || node.place < 0) return;
    const at = this.#row + 2 * (node.place + 1);
    this.#spans[at] = start;
    this.#spans[at + 1] = this.write;
  }

  /** Whether the array that comes next holds records, being this member of an outermost object. */
  #holdsRecords(name: string): boolean {
    this.#outerMembers += 1;
    const holds =
      this.peek() === OPEN_BRACKET &&
      (this.#wrapper === null ? name === LOGS && this.#outerMembers === 1 : name === this.#wrapper);
    this.#hasList ||= holds;
    return holds;
  }

  /** Fields in arrays are nobody's. */
  protected override array(depth: number): void {
    const around = this.#node;
    this.#node = null;
    super.array(depth);
    this.#node = around;
  }

  #noRecord(): void {
    const found = this.kindAhead();
    this.value(AROUND_RECORD);
    this.#error(this.#count, null, `expected an object, got ${found}`);
    this.#count += 1;
  }

  #error(index: number | null, field: string | null, message: string): void {
    this.#errorsFound += 1;
    if (this.#errors.length < LIMITS.problemErrorsMax) this.#errors.push({ index, field, message });
  }
}

/** The depth of an outermost object that is read by itself. No member of another record has it. */
const OUTERMOST = 1;

class TooManyRecords extends Error {}

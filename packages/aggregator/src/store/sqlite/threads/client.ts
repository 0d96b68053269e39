import { Worker } from 'node:worker_threads';
import { StoreError, type StoreMessage } from '../../event-store.ts';
import { type Answer, type Call, OPENED, type Opened, type ThreadData } from './calls.ts';

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** Short-lived objects in a thread are mostly views on buffers; a larger nursery only keeps dead ones longer. */
const YOUNG_MB = 4;

type Calls = Record<string, (...args: never[]) => unknown>;

/**
 * This side of a store's thread. Every call gets exactly one answer: the thread's, or, if the thread ends
 * unexpectedly, a StoreError `failed` for all pending and later calls.
 */
export class ThreadClient<C extends Calls> {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = OPENED + 1;
  #ended: StoreError | null = null;
  #closing: Promise<void> | null = null;
  readonly #told: (message: StoreMessage) => void;

  private constructor(data: ThreadData, told: (message: StoreMessage) => void) {
    this.#told = told;
    this.#worker = new Worker(new URL('../../../start.js', import.meta.url), {
      workerData: data,
      // Closing the writer's descriptor would drop the locks that the reader still needs (folding.ts).
      trackUnmanagedFds: false,
      name: `store-${data.role}`,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#worker.on('message', (answer: Answer) => this.#settle(answer));
    this.#worker.on('error', (cause) =>
      this.#end(`the store's ${data.role} thread died: ${messageOf(cause)}`, cause),
    );
    this.#worker.on('exit', () => this.#end(`the store's ${data.role} thread has ended`));
  }

  /**
   * Starts the thread, lets it open the file once `first` is done, and waits until it has. Rejects with the thread's
   * StoreError if it cannot, or as `first` does.
   */
  static async open<C extends Calls>(
    data: ThreadData,
    told: (message: StoreMessage) => void,
    first?: Promise<unknown>,
  ): Promise<Opened & { thread: ThreadClient<C> }> {
    const thread = new ThreadClient<C>(data, told);
    try {
      await first;
      const opened = new Promise<Opened>((resolve, reject) => {
        if (thread.#ended !== null) return reject(thread.#ended);
        thread.#waiting.set(OPENED, { resolve, reject });
        thread.#worker.postMessage({ id: OPENED, name: 'open', args: [] } satisfies Call, []);
      });
      return { thread, ...(await opened) };
    } catch (error) {
      await thread.#worker.terminate();
      throw error;
    }
  }

  call<N extends string & keyof C>(
    name: N,
    args: Parameters<C[N]>,
    transfer: ArrayBuffer[] = [],
  ): Promise<ReturnType<C[N]>> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) {
        reject(this.#ended);
        return;
      }
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, name, args } satisfies Call, transfer);
    });
  }

  /** Lets the thread finish its calls, close the file and end. Called again, it waits for the same. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#ended !== null) return;
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    await this.call('close', [] as unknown as Parameters<C['close']>);
    this.#ended = new StoreError('closed', 'the store is closed');
    await exited;
  }

  #settle(answer: Answer): void {
    if ('level' in answer) {
      this.#told(answer);
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined)
      throw new Error(`an answer to a call that nobody is waiting for: ${answer.id}`);
    this.#waiting.delete(answer.id);
    if ('error' in answer) waiting.reject(new StoreError(answer.error.code, answer.error.message));
    else waiting.resolve(answer.value as never);
  }

  #end(message: string, cause?: unknown): void {
    this.#ended ??= new StoreError('failed', message, { cause });
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended);
    this.#waiting.clear();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

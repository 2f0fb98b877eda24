/** Schedules by the instant they fall due. Invariant: `entry.index` is the entry's place in the heap, or -1. */

/** @internal */
export interface DueEntry {
  /** UTC ms; Infinity for never. */
  dueAtMs: number;
  index: number;
}

/** @internal A binary heap, so that ten thousand sleeping schedules cost a look at one. */
export interface DueQueue<Entry extends DueEntry> {
  add(entry: Entry): void;
  peek(): Entry | undefined;
  /** Removes and returns the entries due at `nowMs`, earliest first. */
  takeDue(nowMs: number): Entry[];
  clear(): void;
}

/** @internal */
export function createDueQueue<Entry extends DueEntry>(): DueQueue<Entry> {
  const heap: Entry[] = [];
  const place = (entry: Entry, index: number): void => {
    heap[index] = entry;
    entry.index = index;
  };
  const siftUp = (entry: Entry, start: number): void => {
    let index = start;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || parent.dueAtMs <= entry.dueAtMs) break;
      place(parent, index);
      index = parentIndex;
    }
    place(entry, index);
  };
  const siftDown = (entry: Entry): void => {
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const child = left !== undefined && right !== undefined && right.dueAtMs < left.dueAtMs ? right : left;
      if (child === undefined || child.dueAtMs >= entry.dueAtMs) break;
      const childIndex = child.index;
      place(child, index);
      index = childIndex;
    }
    place(entry, index);
  };
  const removeFirst = (): void => {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return;
    first.index = -1;
    if (first !== last) siftDown(last);
  };

  return {
    add: (entry) => siftUp(entry, heap.length),
    peek: () => heap[0],
    takeDue(nowMs) {
      const due: Entry[] = [];
      for (let first = heap[0]; first !== undefined && first.dueAtMs <= nowMs; first = heap[0]) {
        removeFirst();
        due.push(first);
      }
      return due;
    },
    clear() {
      for (const entry of heap) entry.index = -1;
      heap.length = 0;
    },
  };
}

/** Notices that nothing has gone over a connection for too long, whatever signs of life there were. By the caller's clock. */
export class Idle {
  #limitMs = Number.POSITIVE_INFINITY;
  #moved = Number.NaN;
  #movedAt = Number.NaN;
  #over = false;

  /** Whether it was noticed since the link began. */
  get over(): boolean {
    return this.#over;
  }

  /** A link begins. */
  begin(limitMs: number): void {
    this.#limitMs = limitMs;
    this.#moved = Number.NaN;
    this.#over = false;
  }

  /** Whether it is too long. `moved`: messages that were pushed and popped, ever. */
  check(now: number, moved: number): boolean {
    if (this.#limitMs === Number.POSITIVE_INFINITY) return false;
    if (moved !== this.#moved) {
      this.#moved = moved;
      this.#movedAt = now;
    }
    this.#over ||= now - this.#movedAt >= this.#limitMs;
    return this.#over;
  }
}

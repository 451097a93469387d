// The last minutes of each connector and symbol: what the server still knew, then what came while this page was open.

const KEPT = 150;
const APART = 1900; // milliseconds: as far apart as those that the server keeps

export class Curves {
  #rings = new Map();
  #added = new Map();

  // `history`: by connector, times, rates and latencies of one length.
  begin(history) {
    for (const [name, [, rates, latencies]] of Object.entries(history)) {
      this.#rings.set(`${name} rate`, rates.slice(-KEPT));
      this.#rings.set(`${name} p99`, latencies.slice(-KEPT));
    }
  }

  add(name, key, value) {
    const ring = this.#rings.get(`${name} ${key}`) ?? [];
    const now = performance.now();
    const soon = ring.length && now - (this.#added.get(`${name} ${key}`) ?? 0) < APART;
    if (soon) {
      ring[ring.length - 1] = value;
    } else {
      ring.push(value);
      this.#added.set(`${name} ${key}`, now);
    }
    if (ring.length > KEPT) ring.shift();
    this.#rings.set(`${name} ${key}`, ring);
    if (this.#rings.size > 2000) this.#rings.delete(this.#rings.keys().next().value);
  }

  of(name, key) {
    return this.#rings.get(`${name} ${key}`) ?? [];
  }

  // The sum over connectors, as far back as the longest is known.
  total(key) {
    const rings = [...this.#rings].filter(([name]) => name.endsWith(` ${key}`)).map(([, ring]) => ring);
    const length = Math.max(0, ...rings.map((one) => one.length));
    return Array.from({ length }, (_, at) => rings.reduce((sum, ring) => sum + (ring[ring.length - length + at] ?? 0), 0));
  }
}

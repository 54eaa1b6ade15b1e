// The page's programs and data: a line of JSON with the texts that come again, a line with [name, start, length, is numbered]
// of each part, then the parts. No name: a program.
(async () => {
  const text = "PACKED";
  // Base 85 as Python's base64.b85encode writes it: five letters stand for four bytes, the last ones perhaps for less.
  const letters85 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
  const values = new Uint8Array(128).fill(84);
  [...letters85].forEach((letter, value) => (values[letter.charCodeAt(0)] = value));
  const packed = new Uint8Array(Math.floor((text.length * 4) / 5));
  for (let from = 0, to = 0; from < text.length; from += 5) {
    let word = 0;
    for (let digit = 0; digit < 5; digit++) {
      word = word * 85 + (from + digit < text.length ? values[text.charCodeAt(from + digit)] : 84);
    }
    for (let shift = 24; shift >= 0 && to < packed.length; shift -= 8) {
      packed[to++] = (word / 2 ** shift) & 255;
    }
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const whole = new Uint8Array(await new Response(stream).arrayBuffer());
  const line = (from) => whole.subarray(from, whole.indexOf(10, from));
  const table = JSON.parse(new TextDecoder().decode(line(0)));
  const filled = (text) => text.replace(/\x01([0-9a-z]+)\x02/g, (_, number) => table[parseInt(number, 36)]);
  const second = line(line(0).length + 1);
  const parts = whole.subarray(second.byteOffset + second.length + 1);
  const programs = [];
  for (const [name, start, length, numbered] of JSON.parse(new TextDecoder().decode(second))) {
    const held = parts.subarray(start, start + length);
    const part = numbered ? new TextEncoder().encode(filled(new TextDecoder().decode(held))) : held;
    if (!name) {
      programs.push(part);
      continue;
    }
    let letters = "";
    for (let from = 0; from < part.length; from += 32768) {
      letters += String.fromCharCode(...part.subarray(from, from + 32768));
    }
    window.allureReportData[filled(name)] = btoa(letters);
  }
  window.allureReportDataReady = true;
  for (const program of programs) {
    const script = document.createElement("script");
    script.async = false;
    script.src = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
    document.head.append(script);
  }
})();

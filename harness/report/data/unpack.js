// The page's programs and data: one line of JSON with [name, length] of each part, then the parts. No name: a program.
(async () => {
  const packed = Uint8Array.from(atob("PACKED"), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const whole = new Uint8Array(await new Response(stream).arrayBuffer());
  const end = whole.indexOf(10);
  let at = end + 1;
  const programs = [];
  for (const [name, length] of JSON.parse(new TextDecoder().decode(whole.subarray(0, end)))) {
    const part = whole.subarray(at, (at += length));
    if (!name) {
      programs.push(part);
      continue;
    }
    let letters = "";
    for (let from = 0; from < part.length; from += 32768) {
      letters += String.fromCharCode(...part.subarray(from, from + 32768));
    }
    window.allureReportData[name] = btoa(letters);
  }
  window.allureReportDataReady = true;
  for (const program of programs) {
    const script = document.createElement("script");
    script.async = false;
    script.src = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
    document.head.append(script);
  }
})();

#version 300 es
// Second pass: the view's colour, weighted by how well it suits the walker's place, added up.
precision highp float;
uniform sampler2D picture;
uniform sampler2D heat; // memory's colours as this view shows them, times alpha; alpha 0: no value
uniform float tint;     // 1: laid over the picture; 0: the photograph alone
uniform float share;    // 0 to 1 while the view fades in or out
uniform float sheet;    // 1: torn triangles, which only fill what no surface fills
in vec3 seen;
in float cut;
in float suits;
out vec4 color;

const float BEST = 20.0;         // weight of a surface seen as from the view's own place,
const float LEAST = 0.01;        // of a surface seen badly, and
const float OF_SHEET = 0.0003;   // of a sheet: half-precision floats tell it from nothing
// Shares of a side, from the border inwards: up to the first the backdrop shows through, from the
// second on the view is solid, from the third on it is as good as in its middle.
const vec3 RIM = vec3(0.03, 0.05, 0.08);
const float PLAIN = 0.6; // brightness left to what has no value
const float DARK = 0.3;   // share of a colour that is seen where the photograph is black
const float GREY = 0.25;  // share of the photograph's light in it, as some colours are dark

// The value's colour in the photograph's light, so that the room stays readable.
vec3 tinted(vec3 photo, vec2 uv) {
  float light = dot(photo, vec3(0.299, 0.587, 0.114));
  vec4 value = texture(heat, uv);
  vec3 lit = value.rgb * mix(DARK, 1.0, light) * (1.0 - GREY) + value.a * GREY * light;
  return lit + (1.0 - value.a) * PLAIN * light;
}

void main() {
  if (cut > 0.5) discard;
  vec2 uv = seen.xy / seen.z;
  vec2 edge = min(uv, 1.0 - uv);
  float rim = min(edge.x, edge.y);
  float good = suits * smoothstep(RIM.y, RIM.z, rim);
  float surface = mix(OF_SHEET, BEST * good * good + LEAST, smoothstep(RIM.x, RIM.y, rim));
  float weight = share * mix(surface, OF_SHEET, sheet) * min(rim / RIM.x, 1.0);
  vec3 photo = texture(picture, uv).rgb;
  color = vec4((tint > 0.0 ? tinted(photo, uv) : photo) * weight, weight);
}

"""Design, pictures, power, opening."""

from app.workbench import designing

designing.page()
